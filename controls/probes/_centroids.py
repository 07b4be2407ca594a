"""Probes made of class means, for many label columns at once: difference of means, and linear discriminants.

The training rows z (n, d) of a fold, centred, have total scatter T = Z'Z/n whatever the labels. In the
axes of T that is a diagonal. A column's scatter within classes is T less that of its class means, of
rank one below the number of classes, so its inverse is that of a diagonal corrected by a matrix of
classes by classes (Woodbury). A block of columns costs one product with Z' and one with the test rows.

Arrays are (rows, K, B): B label columns, each with K contrasts: of two classes the difference of the
means (K = 1), of more the mean of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np
import torch

from controls.core.errors import InputError
from controls.core.trainer import Output, Split
from controls.probes._design import Design, FoldCache, make_design
from controls.probes._engine import _output
from controls.probes._logistic import ABSENT
from controls.probes._space import as_device

if TYPE_CHECKING:
    from controls.probes.centroids import LDAProbe, MeanDifferenceProbe

_PRECISE_BELOW = 1e-6  # shrinkage under which axes come from the rows, not from their products
_LEAST_WITHIN = 1e-12  # share of the scatter along a direction that is within classes, at the least


@dataclass(frozen=True, eq=False)
class Axes:
    """One fold along the axes of its total scatter (or along its features, where ``scatter`` is None).

    ``train`` (n, r) and ``test`` (m, r); ``scatter`` (r,); ``back`` (d, r) maps weights to those on features, where
    they are not on features.
    """

    train: torch.Tensor
    test: torch.Tensor
    scatter: torch.Tensor | None
    back: torch.Tensor | None
    d: int


def features_of(design: Design) -> Axes:
    """Return the fold along its features: for class means, other axes would cost more than they save."""
    return Axes(design.train, design.test, None, None, design.train.shape[1])


def axes_of(design: Design, shrinkage: float) -> Axes:
    """Return the fold along the axes of its total scatter; those without scatter are left out. O(n d min(n, d))."""
    Z = design.train
    n, d = Z.shape
    eps = torch.finfo(Z.dtype).eps
    if d > n:
        scatter, left = torch.linalg.eigh(Z @ Z.T / n)
        kept = scatter > n * eps * scatter.max()
        back = Z.T @ (left[:, kept] / (n * scatter[kept]).sqrt())
    elif shrinkage < _PRECISE_BELOW:
        _, sizes, rows = torch.linalg.svd(torch.linalg.qr(Z, mode="r").R, full_matrices=False)
        scatter, kept = sizes.square() / n, sizes > n * eps * sizes.max()
        back = rows.T[:, kept]
    else:
        scatter, axes = torch.linalg.eigh(Z.T @ Z / n)
        kept = scatter > d * eps * scatter.max()
        back = axes[:, kept]
    return Axes(Z @ back, design.test @ back, scatter[kept], back, d)


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


def contrasts(train: torch.Tensor, codes: torch.Tensor, n_classes: int) -> Contrasts:
    """Return the class means of columns of class codes (n, B). Time O(n r B), times C where C > 2."""
    n = len(train)
    classes = torch.arange(1 if n_classes == 2 else 0, n_classes, device=codes.device)
    hot = codes[:, None] == classes[:, None]
    sums = (train.T @ hot.to(train.dtype).flatten(1)).unflatten(1, hot.shape[1:]).double()
    counts = hot.sum(0).double()
    if n_classes == 2:  # rows are centred: the sum over the first class is minus that over the second
        shares = torch.cat([n - counts, counts]) / n
        weights = shares[:1] * shares[1:]
        return Contrasts(sums / (n * weights).clamp(min=0.5 / n), weights, shares)
    return Contrasts(sums / counts.clamp(min=1), counts / n, counts / n)


def discriminants(axes: Axes, found: Contrasts, shrinkage: float) -> torch.Tensor:
    """Return the inverse of the shrunk scatter within classes times the means, (r, K, B). Time O(r K² B)."""
    assert axes.scatter is not None
    means, weights = found.means, found.weights
    between = (means.square().sum(0) * weights).sum(0)
    level = (axes.scatter.sum() - between).clamp(min=0) / axes.d
    diagonal = (1 - shrinkage) * axes.scatter[:, None] + shrinkage * level
    diagonal = diagonal.clamp(min=float(torch.finfo(diagonal.dtype).eps ** 2 * axes.scatter.max()))
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
        self._probe, self._activations, self._splits, self._n_classes = probe, activations, splits, n_classes
        self._dtype, self._device = getattr(torch, probe.dtype), as_device(probe.device)
        self._folds = FoldCache(self._fold, splits, activations.shape[1], self._dtype.itemsize)

    @property
    def tolerance(self) -> float:
        """What rounding leaves open in a score between 0 and 1."""
        return 1e-9 if self._probe.dtype == "float64" else 1e-5

    def _fold(self, fold: int) -> Axes:
        probe = self._probe
        design = make_design(self._activations, self._splits[fold], standardize=probe.standardize, device=self._device)
        axes = _axes(probe, design)
        return Axes(axes.train.to(self._dtype), axes.test.to(self._dtype), axes.scatter, None, axes.d)

    def predict(self, fold: int, targets: np.ndarray, needs: str) -> Output:
        """Fit the training rows of every column of class codes (n, B); predict the test rows."""
        probe = self._probe
        if needs not in probe.provides:
            raise InputError(f"{type(probe).__name__} predicts labels and scores, got needs={needs!r}; use LDAProbe.")
        axes = self._folds[fold]
        codes = torch.from_numpy(targets[self._splits[fold][0]]).to(axes.train.device)
        found = contrasts(axes.train, codes, self._n_classes)
        along, offsets = _weights(probe, axes, found)
        scores = (axes.test @ along.to(self._dtype).flatten(1)).unflatten(1, along.shape[1:]).double() - offsets
        if not found.two:
            scores = torch.where(found.shares > 0, scores, ABSENT)
        return _output(scores, needs, self._dtype)


def _axes(probe: LDAProbe | MeanDifferenceProbe, design: Design) -> Axes:
    shrinkage = getattr(probe, "shrinkage", None)
    return features_of(design) if shrinkage is None else axes_of(design, shrinkage)


def _weights(probe: LDAProbe | MeanDifferenceProbe, axes: Axes, found: Contrasts) -> tuple[torch.Tensor, torch.Tensor]:
    """Return weights (r, K, B) and offsets (K, B)."""
    shrinkage = getattr(probe, "shrinkage", None)
    if shrinkage is None:
        return found.means, found.offsets(found.means)
    along = discriminants(axes, found, shrinkage)
    return along, found.offsets(along) - found.log_odds()


def fit_centroids(
    probe: LDAProbe | MeanDifferenceProbe, X: np.ndarray, codes: np.ndarray, n_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return coefficients (K, d) and intercepts (K,) of one column of codes (n,), fitted to all rows in float64."""
    every = (np.arange(len(codes)), np.arange(0))
    design = make_design(X, every, standardize=probe.standardize, device=as_device(probe.device))
    axes = _axes(probe, design)
    found = contrasts(axes.train, torch.from_numpy(codes[:, None]).to(axes.train.device), n_classes)
    along, offsets = _weights(probe, axes, found)
    weights = along[:, :, 0] if axes.back is None else axes.back @ along[:, :, 0]
    return design.in_features(weights, -offsets[:, 0])
