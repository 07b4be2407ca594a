"""What the TopK SAE of :mod:`controls.finders` finds in rows, as the cases read it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from controls.core.problem import Problem
from controls.finders import SAE
from controls.metrics.dictionary import explained_variance
from controls.metrics.recovery import largest_cosines


@dataclass(frozen=True, eq=False)
class Trained:
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
) -> Trained:
    """Train a TopK SAE; all random numbers come from ``rng``."""
    problem = Problem(X)
    found = SAE(latents, k=k, steps=steps, batch_size=batch, lr=lr).fit(problem, rng)
    fires = np.any([(block > 0).any(axis=0) for _, block in found.latents(problem)], axis=0)
    return Trained(found.directions[fires], float(explained_variance(found, problem)))


def mean_max_cosine(directions: np.ndarray, decoder: np.ndarray) -> float:
    """Return the mean, over directions (m, d), of the largest signed cosine with a row of the decoder (K, d)."""
    ours, theirs = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (directions, decoder))
    return float(largest_cosines(ours, theirs).mean())
