"""Design: the rows of one fold, standardised by its training rows and reduced to their row space."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import torch

from controls.core.arrays import dense_rows
from controls.core.trainer import Split

T = TypeVar("T")
_KEPT_BYTES = 1 << 31  # what the folds of one engine may hold together before only the latest is kept


@dataclass(frozen=True, eq=False)
class Design:
    """Training and test rows of one fold, in float64.

    ``train`` (n, d) and ``test`` (m, d) are centred by the mean of the training rows and divided by
    their standard deviation; ``mean`` and ``scale`` are (d,).
    """

    train: torch.Tensor
    test: torch.Tensor
    mean: torch.Tensor
    scale: torch.Tensor

    def in_features(self, weights: torch.Tensor, offset: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Return coefficients (B, d) and intercepts (B,) on raw features, of weights (d, B) on standardised ones."""
        weights = weights / self.scale[:, None]
        return weights.T.cpu().numpy().copy(), (offset - self.mean @ weights).cpu().numpy().copy()


def make_design(activations: np.ndarray, split: Split, *, standardize: bool, device: torch.device) -> Design:
    """Return the design of one split; columns that are constant up to rounding keep their scale."""
    train, test = (torch.from_numpy(dense_rows(activations, rows)).to(device, torch.float64) for rows in split)
    mean = train.mean(0)
    train -= mean
    mean_left = train.mean(0)  # what rounding left of the mean matters where it dwarfs the deviations
    train -= mean_left
    scale = torch.ones_like(mean)
    if standardize:
        variance = train.square().mean(0)
        scale = torch.where(_constant(mean, variance, len(train)), 1.0, variance.sqrt())
        train /= scale
    test = (test - mean - mean_left) / scale
    return Design(train, test, mean + mean_left, scale)


def _constant(mean: torch.Tensor, variance: torch.Tensor, n: int) -> torch.Tensor:
    """Whether a column's variance is no more than what rounding its mean can leave."""
    eps = torch.finfo(torch.float64).eps
    return variance <= n * eps * variance + (n * mean * eps) ** 2


def row_basis(train: torch.Tensor) -> torch.Tensor | None:
    """Return an orthonormal basis (d, n) of a space that holds all rows, where d > n; None otherwise.

    L2-penalised weights lie in the span of the training rows, so nothing is lost.
    """
    n, d = train.shape
    return torch.linalg.qr(train.T).Q if d > n else None


class FoldCache(Generic[T]):
    """What is computed once per fold: kept for all folds where that fits in memory, else for the latest."""

    def __init__(self, build: Callable[[int], T], splits: Sequence[Split], d: int, itemsize: int) -> None:
        self._build = build
        self._store: dict[int, T] = {}
        rows = sum(len(train) + len(test) for train, test in splits)
        self._keep_all = rows * d * itemsize <= _KEPT_BYTES

    def __getitem__(self, fold: int) -> T:
        if fold not in self._store:
            if not self._keep_all:
                self._store.clear()
            self._store[fold] = self._build(fold)
        return self._store[fold]
