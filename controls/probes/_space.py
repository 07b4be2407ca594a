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
from functools import reduce

import numpy as np
import torch

from controls.core.errors import InputError
from controls.core.trainer import Split
from controls.probes._matrix import Matrix, Stack, has_bfloat16
from controls.probes._rows import Frame, Moments, Part, Parts, centre_, make_frame, make_part, read_rows, shared_parts

_MOST_INFLATION = 100  # of the variance of weights by correlated features, before bfloat16 is too rough
_KEPT_BYTES = 1 << 30  # what the folds of one engine may hold of their own before only the latest is kept


@dataclass(frozen=True)
class Setting:
    """What all folds of an engine share besides rows: κ, λ, on standardised features or raw ones; dtype, device."""

    curvature: float
    strength: float
    standardize: bool
    dtype: torch.dtype
    device: torch.device


@dataclass(frozen=True, eq=False)
class Space:
    """One fold. Points u are (r+1, B): whitened weights, and the intercept scaled to unit curvature.

    ``mean`` (r,), ``whitening`` W (r, r) and ``penalty`` λ D² (r,) are of the columns of ``train`` and
    ``test``; ``back`` (d, r) maps weights on them to weights in the frame, None where they are the same.
    """

    train: Stack
    test: Stack
    train_rows: np.ndarray
    test_order: np.ndarray  # places of the fold's test rows among those of ``test``
    mean: torch.Tensor
    whitening: Matrix
    penalty: torch.Tensor
    intercept: float
    rough: bool  # whether products of bfloat16 are quick here, and good for a few per cent of a step
    back: torch.Tensor | None = None

    def to(self, dtype: torch.dtype) -> Space:
        """Return the space for blocks of a dtype; rows and whitening stay as they are."""
        small = {name: getattr(self, name).to(dtype) for name in ("mean", "penalty")}
        return replace(self, **small)

    def lift(self, point: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the weights (r, B) of points (r+1, B), and what they add to every row's logit (B,)."""
        weights = self.whitening.times(point[:-1]).to(self.mean.dtype)
        return weights, self.intercept * point[-1] - self.mean @ weights

    def pull(self, residual: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
        """Return the gradient (r+1, B) in u of a loss with derivative ``residual`` (n, B) in the logits.

        With ``weights`` (r, B), the penalty's is added.
        """
        total = residual.sum(0, dtype=self.mean.dtype)
        pulled = self.train.transposed_times(residual).to(self.mean.dtype).addr_(self.mean, total, alpha=-1)
        if weights is not None:
            pulled.addcmul_(self.penalty[:, None], weights)
        pulled = self.whitening.transposed_times(pulled.to(residual.dtype)).to(self.mean.dtype)
        return torch.cat([pulled, (self.intercept * total)[None]])

    def predict(self, point: torch.Tensor) -> torch.Tensor:
        """Return the logits of the test rows (m, B), in the fold's order."""
        return self.test.times(*self.lift(point))[self.test_order]


class Spaces:
    """The spaces of a set of folds, each made when first asked for; kept where all fit in memory."""

    def __init__(self, activations: np.ndarray, splits: Sequence[Split], setting: Setting) -> None:
        self._activations, self._splits, self._setting = activations, splits, setting
        self._frame = make_frame(activations, np.unique(np.concatenate([rows for pair in splits for rows in pair])))
        tall = all(len(train) >= activations.shape[1] for train, _ in splits)
        grouping = shared_parts(splits, activations.shape) if tall else None
        self._parts = grouping and Parts(activations, grouping, self._frame, setting.dtype, setting.device)
        numbers = sum(_numbers(split, activations.shape[1], shared=grouping is not None) for split in splits)
        self._keep_all = numbers * setting.dtype.itemsize <= _KEPT_BYTES
        self._made: dict[int, Space] = {}

    def __getitem__(self, k: int) -> Space:
        if k not in self._made:
            if not self._keep_all:
                self._made.clear()
            self._made[k] = self._make(k)
        return self._made[k]

    def _make(self, k: int) -> Space:
        if self._parts:
            train, test = self._parts.fold(k)
            return _tall(train, test, self._splits[k], self._frame, self._setting)
        return replace(_alone(self._activations, self._splits[k], self._frame, self._setting), back=None)


def _numbers(split: Split, d: int, *, shared: bool) -> int:
    """Return how many numbers a fold's space holds of its own."""
    r = min(d, len(split[0]))
    return r * r + (0 if shared else 2 * r * (len(split[0]) + len(split[1])))


def space_of_all(activations: np.ndarray, setting: Setting) -> tuple[Space, Frame]:
    """Return the space of all rows, with ``back``, and the frame it is in."""
    split = np.arange(activations.shape[0]), np.arange(0)
    frame = make_frame(activations, split[0])
    return _alone(activations, split, frame, setting), frame


def _alone(activations: np.ndarray, split: Split, frame: Frame, setting: Setting) -> Space:
    """Return the space of a fold that shares no rows with others."""
    if len(split[0]) < activations.shape[1]:
        train, test = (frame.apply(read_rows(activations, rows)).to(setting.device) for rows in split)
        return _wide(train, test, split, frame, setting)
    train, test = ([make_part(activations, rows, frame, setting.dtype, setting.device)] for rows in split)
    return _tall(train, test, split, frame, setting)


def _tall(train: Sequence[Part], test: Sequence[Part], split: Split, frame: Frame, setting: Setting) -> Space:
    """Return the space of a fold with at least as many training rows as features. Time O(d³) besides its parts."""
    found = reduce(Moments.merge, (part.moments for part in train))
    deviation = _deviation(found.n, found.mean, found.scatter.diagonal() / found.n, frame, setting)
    whitening = _whitening(found.scatter / deviation / deviation[:, None], setting) / deviation[:, None]
    return Space(
        train=Stack([part.matrix for part in train]),
        test=Stack([part.matrix for part in test]),
        train_rows=np.concatenate([part.rows for part in train]),
        test_order=_places(split[1], [part.rows for part in test]),
        mean=found.mean.to(setting.dtype),
        whitening=Matrix(whitening.to(setting.dtype)),
        penalty=(setting.strength * deviation.square()).to(setting.dtype),
        intercept=(setting.curvature * found.n) ** -0.5,
        rough=_rough(found.scatter, whitening, setting),
    )


def _wide(train: torch.Tensor, test: torch.Tensor, split: Split, frame: Frame, setting: Setting) -> Space:
    """Return the space of a fold with fewer training rows (n, d) than features, in the span of those rows.

    L2-penalised weights lie there, so nothing is lost. Time O(n² d).
    """
    n, mean = len(train), centre_(train)
    deviation = _deviation(n, mean, train.square().mean(0), frame, setting)
    back = torch.linalg.qr((train / deviation).T).Q / deviation[:, None]
    train, shift = train @ back, mean @ back
    scatter = train.T @ train
    whitening = _whitening(scatter, setting)
    return Space(
        train=Stack([Matrix((train + shift).to(setting.dtype))]),
        test=Stack([Matrix((test @ back).to(setting.dtype))]),
        train_rows=split[0],
        test_order=np.arange(len(split[1])),
        mean=shift.to(setting.dtype),
        whitening=Matrix(whitening.to(setting.dtype)),
        penalty=torch.full((n,), setting.strength, dtype=setting.dtype, device=setting.device),
        intercept=(setting.curvature * n) ** -0.5,
        rough=_rough(scatter, whitening, setting),
        back=back,
    )


def _deviation(n: int, mean: torch.Tensor, variance: torch.Tensor, frame: Frame, setting: Setting) -> torch.Tensor:
    """Return what standardised weights are divided by (d,); columns constant up to rounding keep their scale."""
    if not setting.standardize:
        return (1.0 / frame.scale).to(setting.device)
    eps = torch.finfo(torch.float64).eps
    constant = variance <= n * eps * variance + (n * mean * eps) ** 2
    return torch.where(constant, 1.0, variance.sqrt())


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


def _places(wanted: np.ndarray, parts: Sequence[np.ndarray]) -> np.ndarray:
    """Return where each wanted row is among the rows of the parts."""
    rows = np.concatenate(parts)
    order = np.argsort(rows, kind="stable")
    return order[np.searchsorted(rows, wanted, sorter=order)]


def as_device(name: str | None) -> torch.device:
    """Return the torch device of a name; raise InputError where it is not here or has no float64."""
    try:
        return torch.empty(0, dtype=torch.float64, device=name or "cpu").device
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"device must be a torch device with float64, such as 'cpu' or 'cuda', got {name!r} ({reason})."
        ) from error
