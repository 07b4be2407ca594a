"""A TopK sparse autoencoder (Gao et al. 2024), small enough to read: what is studied here is what its latents do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from scipy import sparse


@final
@dataclass(frozen=True, eq=False)
class Trained:
    """What training returned."""

    latents: sparse.csr_array  # (n, m), of all rows
    explained: float  # share of the variance that is reconstructed, on rows that were not trained on
    dead: int  # latents that never fire


def train(X: np.ndarray, held_out: np.ndarray, *, latents: int, k: int, steps: int, batch: int, seed: int) -> Trained:
    """Train on the rows that are not held out, and encode all of them.

    Latents that have not fired for 200 steps are pointed at rows that are reconstructed badly. Costs three
    products of (batch, d) with (d, latents) a step.
    """
    data = torch.tensor(X, dtype=torch.float32)
    centre, scale = data.mean(dim=0), float((data - data.mean(dim=0)).square().sum(dim=1).mean().sqrt())
    data = (data - centre) / scale
    rows = torch.from_numpy(np.flatnonzero(~held_out))
    generator = torch.Generator().manual_seed(seed)
    decoder = torch.nn.functional.normalize(torch.randn((latents, data.shape[1]), generator=generator), dim=1)
    encoder, bias = decoder.T.clone(), torch.zeros(latents)
    parameters = [part.requires_grad_() for part in (encoder, bias, decoder)]
    optimizer = torch.optim.Adam(parameters, lr=1e-3)
    silent = torch.zeros(latents)

    def encode(part: torch.Tensor) -> torch.return_types.topk:
        return (part @ encoder + bias).relu().topk(k, dim=1)

    for step in range(steps):
        part = data[rows[torch.randint(len(rows), (batch,), generator=generator)]]
        top = encode(part)
        codes = torch.zeros((batch, latents)).scatter(1, top.indices, top.values)
        left = part - codes @ decoder
        loss = left.square().sum(dim=1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            decoder /= decoder.norm(dim=1, keepdim=True)
            silent = (silent + 1) * ~(codes > 0).any(dim=0)
            dead = torch.nonzero(silent > 200).ravel()
            if len(dead) and step < steps - 300:
                worst = left.square().sum(dim=1).topk(min(len(dead), batch)).indices
                fresh = torch.nn.functional.normalize(left[worst], dim=1)
                decoder[dead[: len(worst)]] = fresh
                encoder[:, dead[: len(worst)]] = 0.5 * fresh.T
                bias[dead[: len(worst)]] = 0.0
                silent[dead] = 0
    with torch.no_grad():
        parts = [encode(part) for part in data.split(8192)]
        values, indices = (torch.cat([getattr(part, name) for part in parts]).numpy() for name in ("values", "indices"))
    codes = sparse.csr_array((values.ravel(), indices.ravel(), np.arange(0, values.size + 1, k)),
                             shape=(len(X), latents))  # fmt: skip
    codes.eliminate_zeros()
    codes.sort_indices()
    rebuilt = codes[np.flatnonzero(held_out)] @ decoder.detach().numpy()
    wanted = data[torch.from_numpy(held_out)].numpy()
    explained = 1 - float(np.square(wanted - rebuilt).sum() / np.square(wanted - wanted.mean(axis=0)).sum())
    fires = np.bincount(codes.indices, minlength=latents)
    return Trained(codes, explained, int((fires == 0).sum()))
