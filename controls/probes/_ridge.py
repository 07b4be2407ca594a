"""The engine of ridge fits: products of rows and targets are made part by part, once for all folds that share them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from threading import local
from typing import TYPE_CHECKING, final
from weakref import WeakKeyDictionary

import numpy as np
import torch

from controls.core.errors import InputError
from controls.core.trainer import Output, Split
from controls.probes._logistic import make_targets
from controls.probes._matrix import Matrix
from controls.probes._scores import ABSENT, as_output, barred, dtype_of, to_numpy
from controls.probes._space import Setting, Space, as_device, space_of_all, spaces

if TYPE_CHECKING:
    from controls.probes.linear import RidgeProbe


@final
class RidgeEngine:
    """Batched ridge fits on shared activations and folds; ``n_classes`` is 0 for numbers."""

    def __init__(self, probe: RidgeProbe, activations: np.ndarray, splits: Sequence[Split], n_classes: int) -> None:
        self._n_classes = n_classes
        self._setting = _setting(probe, dtype_of(probe.dtype, activations))
        self._spaces = spaces(activations, splits, self._setting)
        self._latest = local()  # each thread's latest block, for the folds that come next

    @property
    def tolerance(self) -> float:
        """What rounding leaves open in a score between 0 and 1."""
        return 1e-9 if self._setting.dtype == torch.float64 else 1e-5

    def predict(self, fold: int, targets: np.ndarray, needs: str) -> Output:
        """Fit the training rows of every column (n, B) of class codes or numbers; predict the test rows."""
        if needs == "probabilities":
            raise InputError("RidgeProbe predicts labels and scores, got needs='probabilities'; use LogisticProbe.")
        space, block = self._spaces[fold], self._block(targets)
        point, mean, floor = block.fit(space)
        scores = to_numpy(space.predict(point))
        scores += to_numpy(mean)
        if self._n_classes == 0:
            return Output(labels=scores)
        found = torch.from_numpy(scores).unflatten(1, (-1, targets.shape[1]))
        return as_output(barred(found, floor), needs, self._setting.dtype)

    def _block(self, targets: np.ndarray) -> _Block:
        """Return the block of targets: the latest, where these are the same and cannot have changed."""
        latest: _Block | None = getattr(self._latest, "block", None)
        if latest is None or latest.targets is not targets or targets.flags.writeable:
            latest = self._latest.block = _Block(targets, self._n_classes, self._setting)
        return latest


@dataclass(frozen=True, eq=False)
class _Product:
    """Of some rows: them, transposed, times their targets (r, K·B), the targets' sums (K·B,), and ``floor`` (K, B).

    ``floor`` is below 0 for classes that none of the rows has; None where that is not asked.
    """

    product: torch.Tensor
    total: torch.Tensor
    floor: torch.Tensor | None

    def merge(self, other: _Product) -> _Product:
        """Return the product of both."""
        floor = None if self.floor is None or other.floor is None else torch.maximum(self.floor, other.floor)
        return _Product(self.product + other.product, self.total + other.total, floor)


class _Block:
    """One block of targets (n, B), about a centre that keeps numbers small and takes no part in what is fitted."""

    def __init__(self, targets: np.ndarray, n_classes: int, setting: Setting) -> None:
        self.targets = targets
        self._n_classes, self._setting = n_classes, setting
        self._centre = torch.from_numpy(targets.mean(0)).to(setting.device) if n_classes == 0 else 0.0
        self._products: WeakKeyDictionary[Matrix, _Product] = WeakKeyDictionary()

    def fit(self, space: Space) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Return the fits (r+1, K·B) of targets about their means, those means (K·B,), and ``floor`` (K, B)."""
        matrices, sizes = space.train.matrices, space.train.sizes
        parts = zip(matrices, np.split(space.train_rows, np.cumsum(sizes)[:-1]), strict=True)
        first, *rest = (self._product(matrix, rows) for matrix, rows in parts)
        for part in rest:
            first = first.merge(part)
        return space.ridge(first.product, first.total), self._centre + first.total / space.train.n, first.floor

    def _product(self, matrix: Matrix, rows: np.ndarray) -> _Product:
        if matrix not in self._products:
            self._products[matrix] = self._make(matrix, rows)
        return self._products[matrix]

    def _make(self, matrix: Matrix, rows: np.ndarray) -> _Product:
        some, dtype, floor = torch.from_numpy(self.targets[rows]).to(self._setting.device), self._setting.dtype, None
        if self._n_classes == 0:
            values = some.double() - self._centre
        else:
            hot = make_targets(some, self._n_classes, dtype).hot
            values, floor = (2 * hot - 1).flatten(1), None
            if self._n_classes > 2:
                floor = torch.where(hot.bool().any(0), 0.0, ABSENT)
        return _Product(matrix.transposed_times(values.to(dtype)).double(), values.sum(0, dtype=torch.float64), floor)


def fit_ridge(probe: RidgeProbe, X: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return coefficients (B, d) and intercepts (B,) of targets (n, B), fitted to all rows in float64."""
    setting = _setting(probe, torch.float64)
    space = space_of_all(X, setting)
    point, mean, _ = _Block(np.asarray(targets, dtype=np.float64), 0, setting).fit(space)
    coef, intercept = space.in_features(point)
    return coef, intercept + mean.cpu().numpy()


def _setting(probe: RidgeProbe, dtype: torch.dtype) -> Setting:
    return Setting(1.0, probe.alpha, probe.standardize, dtype, as_device(probe.device))
