"""The engine of logistic fits: arrays in, torch inside, arrays out."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, final

import numpy as np
import torch

from controls.core.errors import ControlsWarning
from controls.core.trainer import Output, Split
from controls.probes._logistic import Targets, fit_columns, make_targets
from controls.probes._scores import as_output, barred, dtype_of
from controls.probes._space import Setting, Space, as_device, space_of_all, spaces

if TYPE_CHECKING:
    from controls.probes.linear import LogisticProbe

_LEAST_TOL = {torch.float64: 1e-12, torch.float32: 1e-6}  # below this, gradients are rounding


@final
class LogisticEngine:
    """Batched logistic fits on shared activations and folds."""

    def __init__(self, probe: LogisticProbe, activations: np.ndarray, splits: Sequence[Split], n_classes: int) -> None:
        self._probe, self._n_classes = probe, n_classes
        self._setting = _logistic_setting(probe, n_classes, dtype_of(probe.dtype, activations))
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
        return as_output(barred(scores, hot.floor), needs, self._setting.dtype)


def _logistic_setting(probe: LogisticProbe, n_classes: int, dtype: torch.dtype) -> Setting:
    curvature = 0.25 if n_classes == 2 else 1.0 / n_classes
    return Setting(curvature, 1.0 / probe.C, probe.standardize, dtype, as_device(probe.device))


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


def fit_logistic(
    probe: LogisticProbe, X: np.ndarray, codes: np.ndarray, n_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return coefficients (K, d) and intercepts (K,) of one column of codes (n,), fitted to all rows in float64."""
    setting = _logistic_setting(probe, n_classes, torch.float64)
    space = space_of_all(X, setting)
    column = torch.from_numpy(codes[:, None]).to(setting.device)
    point = _solve(space, make_targets(column, n_classes, torch.float64), probe)
    return space.in_features(point[:, :, 0])
