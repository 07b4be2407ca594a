"""The engines of the linear probes: arrays in, torch inside, arrays out."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, final

import numpy as np
import torch

from controls.core.errors import ControlsWarning, InputError
from controls.core.trainer import Output, Split
from controls.probes._design import FoldCache, as_device, make_design
from controls.probes._logistic import ABSENT, BatchFit, Whitened, make_targets, whiten
from controls.probes._ridge import RidgeSolver, ridge_solver

if TYPE_CHECKING:
    from controls.probes.linear import LogisticProbe, RidgeProbe

_KEPT_BITS = {torch.float64: 36, torch.float32: 16}  # of a score, below the largest of its column
_LEAST_TOL = {"float64": 1e-12, "float32": 1e-6}  # below this, gradients are rounding


@final
class LogisticEngine:
    """Batched logistic fits on shared activations and folds."""

    def __init__(self, probe: LogisticProbe, activations: np.ndarray, splits: Sequence[Split], n_classes: int) -> None:
        self._probe, self._activations, self._splits, self._n_classes = probe, activations, splits, n_classes
        self._dtype, self._device = getattr(torch, probe.dtype), as_device(probe.device)
        self._folds = FoldCache(self._fold, splits, activations.shape[1], self._dtype.itemsize)

    @property
    def tolerance(self) -> float:
        """What convergence leaves open in a score between 0 and 1."""
        return 100 * _tol(self._probe)

    def _fold(self, fold: int) -> Whitened:
        probe = self._probe
        design = make_design(self._activations, self._splits[fold], standardize=probe.standardize, device=self._device)
        return whiten(design, probe.C, _n_logits(self._n_classes), self._dtype)

    def predict(self, fold: int, targets: np.ndarray, needs: str) -> Output:
        """Fit the training rows of every column of class codes (n, B); predict the test rows."""
        space = self._folds[fold]
        codes = torch.from_numpy(targets[self._splits[fold][0]]).to(space.train.device)
        weights, floor = _solve(space, codes, self._n_classes, self._probe)
        scores = (space.test @ weights.flatten(1)).view(len(space.test), *weights.shape[1:])
        if floor is not None:
            scores = torch.where(floor == 0, scores, floor)
        return _output(scores, needs)


@final
class RidgeEngine:
    """Batched ridge fits on shared activations and folds; ``n_classes`` is 0 for numbers."""

    def __init__(self, probe: RidgeProbe, activations: np.ndarray, splits: Sequence[Split], n_classes: int) -> None:
        self._probe, self._activations, self._splits, self._n_classes = probe, activations, splits, n_classes
        self._dtype, self._device = getattr(torch, probe.dtype), as_device(probe.device)
        self._folds = FoldCache(self._fold, splits, activations.shape[1], self._dtype.itemsize)

    @property
    def tolerance(self) -> float:
        """What rounding leaves open in a score between 0 and 1."""
        return 1e-9 if self._probe.dtype == "float64" else 1e-5

    def _fold(self, fold: int) -> RidgeSolver:
        probe = self._probe
        design = make_design(self._activations, self._splits[fold], standardize=probe.standardize, device=self._device)
        return ridge_solver(design, design.test, probe.alpha, self._dtype)

    def predict(self, fold: int, targets: np.ndarray, needs: str) -> Output:
        """Fit the training rows of every column (n, B) of class codes or numbers; predict the test rows."""
        if needs == "probabilities":
            raise InputError("RidgeProbe predicts labels and scores, got needs='probabilities'; use LogisticProbe.")
        solver = self._folds[fold]
        train = torch.from_numpy(targets[self._splits[fold][0]]).to(solver.left.device)
        if self._n_classes == 0:
            return Output(labels=_to_numpy(solver.predict(train.to(self._dtype))))
        hot = make_targets(train, self._n_classes, self._dtype)
        signs = 2 * hot.hot - 1
        scores = solver.predict(signs.flatten(1)).unflatten(1, signs.shape[1:])
        if hot.floor is not None:
            scores = torch.where(hot.floor == 0, scores, hot.floor)
        return _output(scores, needs)


def _n_logits(n_classes: int) -> int:
    return 1 if n_classes == 2 else n_classes


def _tol(probe: LogisticProbe) -> float:
    return max(probe.tol, _LEAST_TOL[probe.dtype])


def _solve(
    space: Whitened, codes: torch.Tensor, n_classes: int, probe: LogisticProbe
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return whitened weights (r+1, K, B) and what bars absent classes, and warn where columns did not converge."""
    targets = make_targets(codes, n_classes, space.train.dtype)
    weights, unfinished = BatchFit(space, targets, _tol(probe)).run(probe.max_iter)
    if unfinished:
        warnings.warn(
            f"LogisticProbe: {unfinished} of {codes.shape[1]} label columns did not converge in "
            f"max_iter={probe.max_iter} steps; raise max_iter, lower C, or pass standardize=True.",
            ControlsWarning,
            stacklevel=3,
        )
    return weights, targets.floor


def _output(scores: torch.Tensor, needs: str) -> Output:
    """Return what is needed of scores (m, K, B)."""
    scores = _rounded(scores)
    if needs == "labels":
        labels = (scores[:, 0] > 0).long() if scores.shape[1] == 1 else scores.argmax(1)
        return Output(labels=labels.cpu().numpy())
    if needs == "scores":
        return Output(scores=_to_numpy(scores[:, 0] if scores.shape[1] == 1 else scores.transpose(1, 2)))
    if scores.shape[1] == 1:
        scores = torch.cat([torch.zeros_like(scores), scores], 1)
    return Output(probabilities=_to_numpy(torch.softmax(scores, 1).transpose(1, 2)))


def _rounded(scores: torch.Tensor) -> torch.Tensor:
    """Return scores without their last bits, which depend on how many columns were multiplied together.

    Rows that are the same get the same score then, whatever the block: ties stay ties.
    """
    real = scores.abs() < -ABSENT / 10
    largest = torch.where(real, scores.abs(), 0.0).amax((0, 1)).clamp(min=torch.finfo(scores.dtype).tiny)
    step = torch.exp2(torch.floor(torch.log2(largest)) - _KEPT_BITS[scores.dtype])
    return torch.where(real, (scores / step).round() * step, scores)


def _to_numpy(values: torch.Tensor) -> np.ndarray:
    return values.double().contiguous().cpu().numpy()


def fit_logistic(
    probe: LogisticProbe, X: np.ndarray, codes: np.ndarray, n_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return coefficients (K, d) and intercepts (K,) of one column of codes (n,), fitted to all rows in float64."""
    design = make_design(X, _all_rows(X), standardize=probe.standardize, device=as_device(probe.device))
    space = whiten(design, probe.C, _n_logits(n_classes), torch.float64, keep_back=True)
    column = torch.from_numpy(codes[:, None]).to(space.train.device)
    weights = _solve(space, column, n_classes, probe)[0][:, :, 0]
    assert space.back is not None
    return design.in_features(space.back @ weights[:-1], weights[-1] * space.intercept)


def fit_ridge(probe: RidgeProbe, X: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return coefficients (B, d) and intercepts (B,) of targets (n, B), fitted to all rows in float64."""
    design = make_design(X, _all_rows(X), standardize=probe.standardize, device=as_device(probe.device))
    identity = torch.eye(X.shape[1], dtype=torch.float64, device=design.train.device)
    solver = ridge_solver(design, identity, probe.alpha, torch.float64)
    column = torch.from_numpy(np.array(targets)).to(design.train.device)
    return design.in_features(solver.weights(column), column.mean(0))


def _all_rows(X: np.ndarray) -> Split:
    return np.arange(X.shape[0]), np.arange(0)
