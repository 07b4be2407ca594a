"""Probes made of class means, for many label columns at once: difference of means, and linear discriminants.

The standardised training rows z (n, d) of a fold have total scatter T = Z'Z/n whatever the labels. In
the axes of T that is a diagonal. A column's scatter within classes is T less that of its class means,
of rank one below the number of classes, so its inverse is that of a diagonal corrected by a matrix of
classes by classes (Woodbury). A block of columns costs one product with the training rows and one with
the test rows; axes, like a ``Space``'s whitening, are applied to blocks and never to rows.

Arrays are (rows, K, B): B label columns, each with K contrasts: of two classes the difference of the
means (K = 1), of more the mean of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, final

import numpy as np
import torch

from controls.core.errors import InputError
from controls.core.trainer import Output, Split
from controls.probes._folds import Fold, Folds, fold_of_all
from controls.probes._logistic import Targets, make_targets
from controls.probes._matrix import Diagonal, Matrix
from controls.probes._rows import Reading
from controls.probes._scores import as_output, barred, dtype_of
from controls.probes._space import as_device

if TYPE_CHECKING:
    from controls.probes.centroids import LDAProbe, MeanDifferenceProbe

_LEAST_WITHIN = 1e-12  # share of the scatter along a direction that is within classes, at the least


@dataclass(frozen=True, eq=False)
class Axes:
    """One fold along the axes of its total scatter, or along its standardised columns.

    ``scatter`` (r,) is that along each axis. ``basis`` (columns, r) makes weights on columns of weights on axes.
    """

    fold: Fold
    scatter: torch.Tensor
    basis: Matrix | Diagonal

    def pull(self, block: torch.Tensor) -> torch.Tensor:
        """Return the standardised training rows, transposed, times a block (n, K, B), in float64, shape (r, K, B)."""
        flat = block.flatten(1)
        pulled = self.basis.transposed_times(self.fold.pull(flat, flat.sum(0)))
        return pulled.unflatten(1, block.shape[1:]).double()

    def lift(self, along: torch.Tensor, offsets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return weights (columns, KB) and a shift (KB,), of weights (r, K, B) on axes and offsets (K, B)."""
        mean = self.fold.mean
        weights = self.basis.times(along.flatten(1).to(mean.dtype))
        return weights, -offsets.flatten().to(mean.dtype) - mean @ weights


def _columns(fold: Fold, scatter: torch.Tensor, dtype: torch.dtype) -> Axes:
    """Return the fold along its columns: for class means, other axes would cost more than they save."""
    return Axes(fold.to(dtype), scatter / fold.train.n, Diagonal((1.0 / fold.deviation).to(dtype)))


def _axes(fold: Fold, scatter: torch.Tensor, dtype: torch.dtype) -> Axes:
    """Return the fold along the axes of its total scatter; those without any but one are left out. Time O(r³)."""
    along, axes = torch.linalg.eigh(scatter / fold.train.n)
    kept = along > max(fold.train.n, len(along)) * torch.finfo(along.dtype).eps * along.max()
    kept[-1] = True
    basis = axes[:, kept] / fold.deviation[:, None]
    return Axes(fold.to(dtype), along[kept], Matrix(basis.to(dtype)))


@dataclass(frozen=True, eq=False)
class Contrasts:
    """Class means of B columns: ``means`` (r, K, B), ``weights`` (K, B) that make of them the scatter between classes.

    ``shares`` (C, B) are those of the classes among the training rows.
    """

    means: torch.Tensor
    weights: torch.Tensor
    shares: torch.Tensor

    @property
    def two(self) -> bool:
        """Whether there are two classes, and so one contrast."""
        return len(self.shares) == 2

    def offsets(self, along: torch.Tensor) -> torch.Tensor:
        """Return, for weights ``along`` (r, K, B), what a row half-way between the means scores, (K, B)."""
        sizes = (self.means * along).sum(0)
        return 0.5 * (self.shares[:1] - self.shares[1:]) * sizes if self.two else 0.5 * sizes

    def log_odds(self) -> torch.Tensor:
        """Return the logarithm of the shares, (K, B); of their ratio where there are two."""
        logs = self.shares.clamp(min=torch.finfo(self.shares.dtype).tiny).log()
        return logs[1:] - logs[:1] if self.two else logs


def contrasts(axes: Axes, targets: Targets) -> Contrasts:
    """Return the class means of columns of labels. Time O(n r B), times C where C > 2."""
    n, hot = len(targets.hot), targets.hot
    counts = hot.sum(0).double()
    if len(counts) == 1:  # rows are centred: the sum over the first class is minus that over the second
        shares = torch.cat([n - counts, counts]) / n
        weights = shares[:1] * shares[1:]
        sums = axes.pull(hot - shares[1:].to(hot.dtype))
        return Contrasts(sums / (n * weights).clamp(min=0.5 / n), weights, shares)
    return Contrasts(axes.pull(hot) / counts.clamp(min=1), counts / n, counts / n)


def discriminants(axes: Axes, found: Contrasts, shrinkage: float) -> torch.Tensor:
    """Return the inverse of the shrunk scatter within classes times the means, (r, K, B). Time O(r K² B)."""
    means, weights, scatter = found.means, found.weights, axes.scatter
    between = (means.square().sum(0) * weights).sum(0)
    level = (scatter.sum() - between).clamp(min=0) / len(axes.fold.frame.centre)
    diagonal = (1 - shrinkage) * scatter[:, None] + shrinkage * level
    rounding = torch.finfo(diagonal.dtype)
    diagonal = diagonal.clamp(min=max(rounding.tiny, rounding.eps**2 * float(scatter.max())))
    scaled = means / diagonal[:, None]
    root = weights.sqrt()
    products = torch.einsum("rkb,rlb->bkl", means, scaled) * torch.einsum("kb,lb->bkl", root, root)
    within, vectors = torch.linalg.eigh(torch.eye(len(root), device=root.device) - (1 - shrinkage) * products)
    inverse = torch.einsum("bki,bi,bli->bkl", vectors, 1 / within.clamp(min=_LEAST_WITHIN), vectors)
    unroot = torch.where(root > 0, 1 / root, 0.0)
    return torch.einsum("rkb,kb,bkl,lb->rlb", scaled, root, inverse, unroot)


@final
class CentroidEngine:
    """Batched fits of class means on shared activations and folds."""

    def __init__(
        self, probe: LDAProbe | MeanDifferenceProbe, activations: np.ndarray, splits: Sequence[Split], n_classes: int
    ) -> None:
        self._probe, self._n_classes = probe, n_classes
        self._reading = _reading(probe, dtype_of(probe.dtype, activations))
        self._folds = Folds(activations, splits, self._reading, partial(_make, probe, self._reading.dtype))

    @property
    def tolerance(self) -> float:
        """What rounding leaves open in a score between 0 and 1."""
        return 1e-9 if self._reading.dtype == torch.float64 else 1e-5

    def predict(self, fold: int, targets: np.ndarray, needs: str) -> Output:
        """Fit the training rows of every column of class codes (n, B); predict the test rows."""
        probe = self._probe
        if needs not in probe.provides:
            raise InputError(f"{type(probe).__name__} predicts labels and scores, got needs={needs!r}; use LDAProbe.")
        axes = self._folds[fold]
        codes = torch.from_numpy(targets[axes.fold.train_rows]).to(self._reading.device)
        hot = make_targets(codes, self._n_classes, self._reading.dtype)
        scores = axes.fold.predict(*_fit(probe, axes, hot)).unflatten(1, hot.hot.shape[1:])
        return as_output(barred(scores, hot.floor), needs, self._reading.dtype)


def fit_centroids(
    probe: LDAProbe | MeanDifferenceProbe, X: np.ndarray, codes: np.ndarray, n_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return coefficients (K, d) and intercepts (K,) of one column of codes (n,), fitted to all rows in float64."""
    reading = _reading(probe, torch.float64)
    axes = _make(probe, reading.dtype, *fold_of_all(X, reading))
    column = torch.from_numpy(codes[:, None]).to(reading.device)
    return axes.fold.in_features(*_fit(probe, axes, make_targets(column, n_classes, torch.float64)))


def _shrinkage(probe: LDAProbe | MeanDifferenceProbe) -> float | None:
    return getattr(probe, "shrinkage", None)


def _reading(probe: LDAProbe | MeanDifferenceProbe, dtype: torch.dtype) -> Reading:
    """Return how rows are read. Without shrinkage, scales are no matter to the fit: standardised loses no digits."""
    shrinkage = _shrinkage(probe)
    return Reading(probe.standardize or shrinkage == 0, dtype, as_device(probe.device), crossed=shrinkage is not None)


def _make(probe: LDAProbe | MeanDifferenceProbe, dtype: torch.dtype, fold: Fold, scatter: torch.Tensor) -> Axes:
    return (_columns if _shrinkage(probe) is None else _axes)(fold, scatter, dtype)


def _fit(probe: LDAProbe | MeanDifferenceProbe, axes: Axes, targets: Targets) -> tuple[torch.Tensor, torch.Tensor]:
    """Return weights (columns, KB) and a shift (KB,)."""
    found, shrinkage = contrasts(axes, targets), _shrinkage(probe)
    if shrinkage is None:
        return axes.lift(found.means, found.offsets(found.means))
    along = discriminants(axes, found, shrinkage)
    return axes.lift(along, found.offsets(along) - found.log_odds())
