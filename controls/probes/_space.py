"""Space: one fold in coordinates where the curvature that its label columns share is the identity.

With κ the curvature of the loss in its predictions, S the scatter matrix of the training rows, D the
standard deviations and λ the penalty on standardised weights, the shared Hessian is
H = κ D⁻¹ S D⁻¹ + λ I. With H = L L' and W = D⁻¹ L⁻ᵀ, weights are v = W u: a ridge fit is then one
step, u = −gradient at 0, and logistic fits take few. W is applied to blocks of columns, never to
rows, so that all folds share one copy of the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from controls.core.errors import InputError
from controls.core.trainer import Split
from controls.probes._folds import Fold, Folds, fold_of_all
from controls.probes._matrix import Matrix, Stack, has_bfloat16
from controls.probes._rows import Reading

_MOST_INFLATION = 100  # of the variance of weights by correlated features, before bfloat16 is too rough


@dataclass(frozen=True)
class Setting:
    """What all folds of an engine share besides rows: κ, λ, on standardised features or raw ones; dtype, device."""

    curvature: float
    strength: float
    standardize: bool
    dtype: torch.dtype
    device: torch.device

    @property
    def reading(self) -> Reading:
        """How rows are read."""
        return Reading(self.standardize, self.dtype, self.device)


@dataclass(frozen=True, eq=False)
class Space:
    """One fold. Points u are (r+1, B): whitened weights, and the intercept scaled to unit curvature.

    ``whitening`` W (r, r) and ``penalty`` λ D² (r,) are of the fold's columns.
    """

    fold: Fold
    whitening: Matrix
    penalty: torch.Tensor
    intercept: float
    rough: bool  # whether products of bfloat16 are quick here, and good for a few per cent of a step

    @property
    def train(self) -> Stack:
        """The training rows."""
        return self.fold.train

    @property
    def train_rows(self) -> np.ndarray:
        """Which rows of the activations these are, in order."""
        return self.fold.train_rows

    @property
    def mean(self) -> torch.Tensor:
        """The mean of the training rows (r,)."""
        return self.fold.mean

    def to(self, dtype: torch.dtype) -> Space:
        """Return the space for blocks of a dtype; rows and whitening stay as they are."""
        return replace(self, fold=self.fold.to(dtype), penalty=self.penalty.to(dtype))

    def lift(self, point: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the weights (r, B) of points (r+1, B), and what they add to every row's logit (B,)."""
        weights = self.whitening.times(point[:-1]).to(self.mean.dtype)
        return weights, self.intercept * point[-1] - self.mean @ weights

    def pull(self, residual: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
        """Return the gradient (r+1, B) in u of a loss with derivative ``residual`` (n, B) in the logits.

        With ``weights`` (r, B), the penalty's is added.
        """
        pulled = self.fold.pull(residual, total := residual.sum(0, dtype=self.mean.dtype))
        if weights is not None:
            pulled.addcmul_(self.penalty[:, None], weights)
        pulled = self.whitening.transposed_times(pulled.to(residual.dtype)).to(self.mean.dtype)
        return torch.cat([pulled, (self.intercept * total)[None]])

    def ridge(self, product: torch.Tensor, total: torch.Tensor) -> torch.Tensor:
        """Return the ridge fits (r+1, B) of targets about their mean over the training rows.

        ``product`` (r, B) is the training rows, transposed, times those targets about any centre;
        ``total`` (B,) is the sum of the latter. Both are of float64.
        """
        dtype = self.mean.dtype
        pulled = product.addr(self.mean.double(), total, alpha=-1).to(dtype)
        return torch.cat([self.whitening.transposed_times(pulled), torch.zeros_like(pulled[:1])])

    def predict(self, point: torch.Tensor) -> torch.Tensor:
        """Return the logits of the test rows (m, B), in the fold's order."""
        return self.fold.predict(*self.lift(point))

    def in_features(self, point: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Return coefficients (B, d) and intercepts (B,) on raw features, of points (r+1, B)."""
        return self.fold.in_features(*self.lift(point))


def spaces(activations: np.ndarray, splits: Sequence[Split], setting: Setting) -> Folds[Space]:
    """Return the space of each fold."""
    return Folds(activations, splits, setting.reading, partial(_space, setting))


def space_of_all(activations: np.ndarray, setting: Setting) -> Space:
    """Return the space of all rows."""
    return _space(setting, *fold_of_all(activations, setting.reading))


def _space(setting: Setting, fold: Fold, scatter: torch.Tensor) -> Space:
    """Return the space of a fold, given the scatter matrix (r, r) of its standardised rows. Time O(r³)."""
    whitening = _whitening(scatter, setting) / fold.deviation[:, None]
    return Space(
        fold=fold.to(setting.dtype),
        whitening=Matrix(whitening.to(setting.dtype)),
        penalty=(setting.strength * fold.deviation.square()).to(setting.dtype),
        intercept=(setting.curvature * fold.train.n) ** -0.5,
        rough=_rough(scatter, whitening * fold.deviation[:, None], setting),
    )


def _whitening(scatter: torch.Tensor, setting: Setting) -> torch.Tensor:
    """Return the inverse transposed Cholesky factor of the shared Hessian."""
    hessian = setting.curvature * scatter
    hessian.diagonal().add_(setting.strength)
    identity = torch.eye(len(hessian), dtype=hessian.dtype, device=hessian.device)
    return torch.linalg.solve_triangular(_factor(hessian), identity, upper=False).T


def _rough(scatter: torch.Tensor, whitening: torch.Tensor, setting: Setting) -> bool:
    """Return whether rough products will do: rounding grows by the root of the features' mean variance inflation."""
    if setting.dtype != torch.float32 or not has_bfloat16(setting.device):
        return False
    inflation = setting.curvature * scatter.diagonal() * whitening.square().sum(1)
    return float(inflation.mean()) <= _MOST_INFLATION


def _factor(gram: torch.Tensor) -> torch.Tensor:
    """Return the Cholesky factor of a matrix that is positive but for rounding, which is lifted away if need be."""
    lower, info = torch.linalg.cholesky_ex(gram)
    lift = len(gram) * torch.finfo(gram.dtype).eps * gram.diagonal()
    while int(info):
        lift = 10 * lift
        lower, info = torch.linalg.cholesky_ex(gram + lift.diag())
    return lower


def as_device(name: str | None) -> torch.device:
    """Return the torch device of a name; raise InputError where it is not here or has no float64."""
    try:
        return torch.empty(0, dtype=torch.float64, device=name or "cpu").device
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"device must be a torch device with float64, such as 'cpu' or 'cuda', got {name!r} ({reason})."
        ) from error
