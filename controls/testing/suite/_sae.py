"""A small TopK sparse autoencoder, and how near its decoder comes to known directions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True, eq=False)
class SAE:
    """What training returned."""

    decoder: np.ndarray  # (latents, d), rows of length 1; of latents that fire on the training rows
    explained: float  # share of the variance of the training rows that is reconstructed


def train_sae(
    X: np.ndarray,
    rng: np.random.Generator,
    *,
    latents: int = 64,
    k: int = 4,
    steps: int = 1500,
    batch: int = 1024,
    lr: float = 3e-3,
) -> SAE:
    """Train a TopK sparse autoencoder (Gao et al. 2024) with Adam; decoder rows are kept at length 1.

    All random numbers come from ``rng``. Costs ``steps`` products of (batch, d) with (d, latents), and back.
    """
    data = torch.tensor(X, dtype=torch.float32)
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    decoder = torch.randn((latents, data.shape[1]), generator=generator)
    decoder /= decoder.norm(dim=1, keepdim=True)
    encoder, encoder_bias, decoder_bias = decoder.T.clone(), torch.zeros(latents), data.mean(dim=0)
    parameters = [part.requires_grad_() for part in (encoder, encoder_bias, decoder, decoder_bias)]
    optimizer = torch.optim.Adam(parameters, lr=lr)

    def encode(rows: torch.Tensor) -> torch.Tensor:
        values = (rows - decoder_bias) @ encoder + encoder_bias
        top = values.topk(k, dim=1)
        return torch.zeros_like(values).scatter(1, top.indices, top.values.relu())

    for _ in range(steps):
        rows = data[torch.randint(len(data), (batch,), generator=generator)]
        loss = (encode(rows) @ decoder + decoder_bias - rows).square().sum(dim=1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            decoder /= decoder.norm(dim=1, keepdim=True)
    with torch.no_grad():
        codes = encode(data)
        left = (codes @ decoder + decoder_bias - data).square().sum()
        explained = 1 - float(left / (data - data.mean(dim=0)).square().sum())
        return SAE(decoder[(codes > 0).any(dim=0)].numpy().astype(np.float64), explained)


def mean_max_cosine(directions: np.ndarray, decoder: np.ndarray) -> float:
    """Return the mean, over directions (m, d), of the largest signed cosine with a row of the decoder (K, d)."""
    directions, decoder = (A / np.linalg.norm(A, axis=1, keepdims=True) for A in (directions, decoder))
    return float((directions @ decoder.T).max(axis=1).mean())
