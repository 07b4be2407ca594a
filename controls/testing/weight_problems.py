"""Ugly problems for controls on weights: a small language model in which everything that goes wrong is at hand."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from controls.core.problem import Problem
from controls.core.rng import stream
from controls.models.from_model import from_model
from controls.testing.problems import ugly_problems

WIDTH, HEADS, TOKENS, LENGTH = 8, 2, 11, 4
LAYER = "blocks.0"


class _Attention(nn.Module):
    """Attention with two heads, which says so."""

    def __init__(self) -> None:
        super().__init__()
        self.num_heads = HEADS
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = (nn.Linear(WIDTH, WIDTH) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (
            part(x).unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in (self.q_proj, self.k_proj, self.v_proj)
        )
        mixed = (q @ k.mT).softmax(-1) @ v
        return self.o_proj(mixed.transpose(1, 2).flatten(2))


class _Block(nn.Module):
    """Attention and a hidden layer, each added to a stream that no norm interrupts."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = _Attention()
        self.into, self.out = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attention(x)
        return x + self.out(self.into(x).relu()).to(x.dtype)


class UglyModel(nn.Module):
    """Tied embeddings, a bare parameter, a buffer, a norm with gains, 16-bit tensors, matrices near the identity."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(TOKENS, WIDTH)
        self.position = nn.Parameter(torch.zeros(LENGTH, WIDTH))
        self.blocks = nn.ModuleList([_Block(), _Block()])
        self.norm = nn.LayerNorm(WIDTH)
        self.narrow = nn.Linear(WIDTH, WIDTH, dtype=torch.bfloat16)
        self.unembed = nn.Linear(WIDTH, TOKENS, bias=False)
        self.unembed.weight = self.embed.weight
        self.register_buffer("scale", torch.full((1,), 0.5))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Return logits (S, T, tokens)."""
        x = self.embed(ids) + self.position
        for block in self.blocks:
            x = block(x)
        x = self.norm(x) * self.scale
        return self.unembed(self.narrow(x.bfloat16()).float())


def ugly_model(seed: int = 0) -> UglyModel:
    """Return the model with weights that no initialiser gives, in eval mode; global random state stays."""
    with torch.random.fork_rng(devices=[]):
        model = UglyModel().eval()
    rng = stream(seed, "ugly weights")
    with torch.no_grad():
        for parameter in model.parameters():
            values = 0.3 * rng.standard_normal(parameter.shape) + 0.1
            near_identity = parameter.shape == (WIDTH, WIDTH)  # where frames that lean one way show
            parameter.copy_(torch.from_numpy(values + np.eye(WIDTH) if near_identity else values))
    return model.requires_grad_(False)


def ugly_weight_problems(names: tuple[str, ...] = (), seed: int = 0) -> Iterator[Problem]:
    """Yield ugly problems whose rows are what a small model makes of as many sequences.

    Parameters
    ----------
    names : tuple of str
        Group names that are needed beside the usual ones; see ``ugly_problems``.
    seed : int
        Of weights, inputs, labels and groups.
    """
    model = ugly_model(seed)
    for problem in ugly_problems(names, seed):
        ids = stream(seed, "ugly tokens").integers(TOKENS, size=(problem.n, LENGTH))
        made = from_model(model, ids, LAYER, pooling="mean")
        yield Problem(made.X, problem.labels, problem.groups, problem.unit, made.source)
