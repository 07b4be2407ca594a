"""The engines of the linear probes: arrays in, torch inside, arrays out."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, final

import numpy as np
import torch

from controls.core.errors import ControlsWarning, InputError
from controls.core.trainer import Output, Split
from controls.probes._logistic import ABSENT, Targets, fit_columns, make_targets
from controls.probes._space import Setting, Space, as_device, space_of_all, spaces

if TYPE_CHECKING:
    from controls.probes.linear import LogisticProbe, RidgeProbe

_KEPT_BITS = {torch.float64: 36, torch.float32: 16}  # of a score, below the largest of its column
_LEAST_TOL = {torch.float64: 1e-12, torch.float32: 1e-6}  # below this, gradients are rounding


@final
class LogisticEngine:
    """Batched logistic fits on shared activations and folds."""

    def __init__(self, probe: LogisticProbe, activations: np.ndarray, splits: Sequence[Split], n_classes: int) -> None:
        self._probe, self._n_classes = probe, n_classes
        self._setting = _logistic_setting(probe, n_classes, _dtype(probe.dtype, activations))
        self._spaces = spaces(activations, splits, self._setting)

    @property
    def tolerance(self) -> float:
        """What convergence leaves open in a score between 0 and 1."""
        return 100 * _tol(self._probe, self._setting.dtype)

    def predict(self, fold: int, targets: np.ndarray, needs: str) -> Output:
        """Fit the training rows of every column of class codes (n, B); predict the test rows."""
        space = self._spaces[fold]
        codes = torch.from_numpy(targets[space.train_rows]).to(self._setting.device)
        hot = make_targets(codes, self._n_classes, self._setting.dtype)
        point = _solve(space, hot, self._probe)
        scores = space.to(point.dtype).predict(point.flatten(1)).unflatten(1, point.shape[1:])
        return _output(_barred(scores, hot), needs, self._setting.dtype)


@final
class RidgeEngine:
    """Batched ridge fits on shared activations and folds; ``n_classes`` is 0 for numbers."""

    def __init__(self, probe: RidgeProbe, activations: np.ndarray, splits: Sequence[Split], n_classes: int) -> None:
        self._n_classes = n_classes
        self._setting = _ridge_setting(probe, _dtype(probe.dtype, activations))
        self._spaces = spaces(activations, splits, self._setting)

    @property
    def tolerance(self) -> float:
        """What rounding leaves open in a score between 0 and 1."""
        return 1e-9 if self._setting.dtype == torch.float64 else 1e-5

    def predict(self, fold: int, targets: np.ndarray, needs: str) -> Output:
        """Fit the training rows of every column (n, B) of class codes or numbers; predict the test rows."""
        if needs == "probabilities":
            raise InputError("RidgeProbe predicts labels and scores, got needs='probabilities'; use LogisticProbe.")
        space = self._spaces[fold]
        train = torch.from_numpy(targets[space.train_rows]).to(self._setting.device)
        if self._n_classes == 0:
            point, mean = _ridge(space, train, self._setting.dtype)
            return Output(labels=_to_numpy(space.predict(point)) + mean.cpu().numpy())
        hot = make_targets(train, self._n_classes, self._setting.dtype)
        point, mean = _ridge(space, (2 * hot.hot - 1).flatten(1), self._setting.dtype)
        scores = (space.predict(point) + mean).unflatten(1, hot.hot.shape[1:])
        return _output(_barred(scores, hot), needs, self._setting.dtype)


def _dtype(named: str | None, activations: np.ndarray) -> torch.dtype:
    """Return the dtype of products: the one named, else that of the activations."""
    if named is None:
        return torch.float32 if activations.dtype.itemsize <= 4 else torch.float64
    return getattr(torch, named)


def _logistic_setting(probe: LogisticProbe, n_classes: int, dtype: torch.dtype) -> Setting:
    curvature = 0.25 if n_classes == 2 else 1.0 / n_classes
    return Setting(curvature, 1.0 / probe.C, probe.standardize, dtype, as_device(probe.device))


def _ridge_setting(probe: RidgeProbe, dtype: torch.dtype) -> Setting:
    return Setting(1.0, probe.alpha, probe.standardize, dtype, as_device(probe.device))


def _tol(probe: LogisticProbe, dtype: torch.dtype) -> float:
    return max(probe.tol, _LEAST_TOL[dtype])


def _solve(space: Space, targets: Targets, probe: LogisticProbe) -> torch.Tensor:
    """Return the fitted points (r+1, K, B), and warn where columns did not converge."""
    dtype = targets.hot.dtype
    point, unfinished = fit_columns(space, targets, tol=_tol(probe, dtype), max_iter=probe.max_iter)
    if unfinished:
        warnings.warn(
            f"LogisticProbe: {unfinished} of {targets.hot.shape[2]} label columns did not converge in "
            f"max_iter={probe.max_iter} steps; raise max_iter, lower C, or pass standardize=True.",
            ControlsWarning,
            stacklevel=3,
        )
    return point


def _ridge(space: Space, targets: torch.Tensor, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the fitted points (r+1, B) of targets (n, B) without their means, and those means (B,)."""
    mean = targets.mean(0)
    return space.pull((targets - mean).to(dtype)), mean


def _barred(scores: torch.Tensor, targets: Targets) -> torch.Tensor:
    """Return scores (m, K, B), with classes that a column's training rows lack under all others."""
    return scores if targets.floor is None else torch.where(targets.floor == 0, scores, ABSENT)


def _output(scores: torch.Tensor, needs: str, dtype: torch.dtype) -> Output:
    """Return what is needed of scores (m, K, B), of which what ``dtype`` holds is kept."""
    scores = _rounded(scores, _KEPT_BITS[dtype])
    if needs == "labels":
        labels = (scores[:, 0] > 0).long() if scores.shape[1] == 1 else scores.argmax(1)
        return Output(labels=labels.cpu().numpy())
    if needs == "scores":
        return Output(scores=_to_numpy(scores[:, 0] if scores.shape[1] == 1 else scores.transpose(1, 2)))
    if scores.shape[1] == 1:
        scores = torch.cat([torch.zeros_like(scores), scores], 1)
    return Output(probabilities=_to_numpy(torch.softmax(scores, 1).transpose(1, 2)))


def _rounded(scores: torch.Tensor, bits: int) -> torch.Tensor:
    """Return scores without their last bits, which depend on how many columns were multiplied together.

    Rows that are the same get the same score then, whatever the block: ties stay ties.
    """
    real = scores.abs() < -ABSENT / 10
    largest = torch.where(real, scores.abs(), 0.0).amax((0, 1)).clamp(min=torch.finfo(scores.dtype).tiny)
    step = torch.exp2(torch.floor(torch.log2(largest)) - bits)
    return torch.where(real, (scores / step).round() * step, scores)


def _to_numpy(values: torch.Tensor) -> np.ndarray:
    return values.double().contiguous().cpu().numpy()


def fit_logistic(
    probe: LogisticProbe, X: np.ndarray, codes: np.ndarray, n_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return coefficients (K, d) and intercepts (K,) of one column of codes (n,), fitted to all rows in float64."""
    setting = _logistic_setting(probe, n_classes, torch.float64)
    space = space_of_all(X, setting)
    column = torch.from_numpy(codes[:, None]).to(setting.device)
    point = _solve(space, make_targets(column, n_classes, torch.float64), probe)
    return space.in_features(point[:, :, 0])


def fit_ridge(probe: RidgeProbe, X: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return coefficients (B, d) and intercepts (B,) of targets (n, B), fitted to all rows in float64."""
    setting = _ridge_setting(probe, torch.float64)
    space = space_of_all(X, setting)
    point, mean = _ridge(space, torch.from_numpy(np.array(targets)).to(setting.device), torch.float64)
    coef, intercept = space.in_features(point)
    return coef, intercept + mean.cpu().numpy()
