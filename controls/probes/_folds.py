"""Folds: the training and test rows of each, as stacks of parts that folds share where that pays.

What a probe is fitted to are the columns of the stacks, which are features in the frame; with fewer
training rows than features, where scatter matrices are needed, they are those rows' own space.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from threading import Lock
from typing import Generic, TypeVar, final

import numpy as np
import torch

from controls.core.trainer import Split
from controls.probes._matrix import Matrix, Stack
from controls.probes._rows import (
    Frame,
    Moments,
    Part,
    Parts,
    Reading,
    centre_,
    make_frame,
    make_part,
    read_rows,
    shared_parts,
)

T = TypeVar("T")
_KEPT_BYTES = 1 << 30  # what the folds of one engine may hold of their own before only the latest is kept


@dataclass(frozen=True, eq=False)
class Fold:
    """One fold, of which ``mean`` (r,) and ``deviation`` (r,) are those of the columns of ``train``.

    Columns less their mean, divided by their deviation, are standardised (or those of raw features).
    ``back`` (d, r) maps weights on columns to weights in the frame, None where they are the same.
    """

    train: Stack
    test: Stack
    train_rows: np.ndarray
    test_order: np.ndarray  # places of the fold's test rows among those of ``test``
    mean: torch.Tensor
    deviation: torch.Tensor
    frame: Frame
    back: torch.Tensor | None = None

    def to(self, dtype: torch.dtype) -> Fold:
        """Return the fold for blocks of a dtype; the rows stay as they are."""
        return replace(self, mean=self.mean.to(dtype), deviation=self.deviation.to(dtype))

    def pull(self, block: torch.Tensor, total: torch.Tensor) -> torch.Tensor:
        """Return the centred training rows, transposed, times a block (n, B) with sums ``total`` (B,), shape (r, B)."""
        return self.train.transposed_times(block).to(self.mean.dtype).addr_(self.mean, total, alpha=-1)

    def predict(self, weights: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
        """Return what weights (r, B) and a shift (B,) give for the test rows (m, B), in the fold's order."""
        return self.test.times(weights, shift)[self.test_order]

    def in_features(self, weights: torch.Tensor, shift: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Return coefficients (B, d) and intercepts (B,) on raw features, of weights (r, B) and a shift (B,)."""
        weights = weights if self.back is None else self.back @ weights
        coef = weights.cpu() / self.frame.scale[:, None]
        return coef.T.numpy().copy(), (shift.cpu() - self.frame.centre @ coef).numpy()


@final
class Folds(Generic[T]):
    """What is made of each fold and its standardised scatter, when first asked for; kept where all fit in memory.

    ``make`` gets the fold and, in float64, the scatter matrix (r, r) of its standardised training
    rows, or its diagonal (r,) where variances are enough.
    """

    def __init__(
        self,
        activations: np.ndarray,
        splits: Sequence[Split],
        reading: Reading,
        make: Callable[[Fold, torch.Tensor], T],
    ) -> None:
        self._activations, self._splits, self._reading, self._make = activations, splits, reading, make
        self._frame = make_frame(activations, np.unique(np.concatenate([rows for pair in splits for rows in pair])))
        d = activations.shape[1]
        tall = all(_tall(split, d, reading) for split in splits)
        grouping = shared_parts(splits, activations.shape, crossed=reading.crossed) if tall else None
        self._parts = grouping and Parts(activations, grouping, self._frame, reading)
        numbers = sum(_numbers(split, d, reading, shared=grouping is not None) for split in splits)
        self._keep_all = numbers * reading.dtype.itemsize <= _KEPT_BYTES
        self._made: dict[int, T] = {}
        self._making = Lock()  # one thread makes a fold, for all

    def __getitem__(self, k: int) -> T:
        with self._making:
            if k not in self._made:
                if not self._keep_all:
                    self._made.clear()
                self._made[k] = self._make(*self._fold(k))
            return self._made[k]

    def _fold(self, k: int) -> tuple[Fold, torch.Tensor]:
        if self._parts:
            return _of_parts(*self._parts.fold(k), self._splits[k], self._frame, self._reading)
        fold, scatter = _alone(self._activations, self._splits[k], self._frame, self._reading)
        return replace(fold, back=None), scatter


def fold_of_all(activations: np.ndarray, reading: Reading) -> tuple[Fold, torch.Tensor]:
    """Return the fold that trains on all rows, with ``back``, and its standardised scatter."""
    every = np.arange(activations.shape[0]), np.arange(0)
    return _alone(activations, every, make_frame(activations, every[0]), reading)


def _tall(split: Split, d: int, reading: Reading) -> bool:
    """Whether a fold stays on its features."""
    return len(split[0]) >= d or not reading.crossed


def _numbers(split: Split, d: int, reading: Reading, *, shared: bool) -> int:
    """Return how many numbers are held of a fold alone."""
    r = d if _tall(split, d, reading) else len(split[0])
    return (r * r if reading.crossed else r) + (0 if shared else 2 * r * (len(split[0]) + len(split[1])))


def _alone(activations: np.ndarray, split: Split, frame: Frame, reading: Reading) -> tuple[Fold, torch.Tensor]:
    """Return a fold that shares no rows with others, and its standardised scatter."""
    if _tall(split, activations.shape[1], reading):
        train = make_part(activations, split[0], frame, reading)
        test = make_part(activations, split[1], frame, replace(reading, crossed=False))
        return _of_parts([train], [test], split, frame, reading)
    train, test = (frame.apply(read_rows(activations, side)).to(reading.device) for side in split)
    return _of_few_rows(train, test, split, frame, reading)


def _of_parts(
    train: Sequence[Part], test: Sequence[Part], split: Split, frame: Frame, reading: Reading
) -> tuple[Fold, torch.Tensor]:
    """Return a fold on its features, and its standardised scatter. Time O(d²) a part, or O(d)."""
    found = reduce(Moments.merge, (part.moments for part in train))
    deviation = _deviation(found.n, found.mean, found.variance, frame, reading)
    fold = Fold(
        train=Stack([part.matrix for part in train]),
        test=Stack([part.matrix for part in test]),
        train_rows=np.concatenate([part.rows for part in train]),
        test_order=_places(split[1], [part.rows for part in test]),
        mean=found.mean,
        deviation=deviation,
        frame=frame,
    )
    scatter = found.scatter / deviation
    return fold, scatter / (deviation[:, None] if reading.crossed else deviation)


def _of_few_rows(
    train: torch.Tensor, test: torch.Tensor, split: Split, frame: Frame, reading: Reading
) -> tuple[Fold, torch.Tensor]:
    """Return a fold of fewer training rows (n, d) than features, in their span, and its standardised scatter.

    Nothing is lost, as L2-penalised weights and shrunk discriminants lie there. Time O(n² d).
    """
    mean = centre_(train)
    deviation = _deviation(len(train), mean, train.square().mean(0), frame, reading)
    back = torch.linalg.qr((train / deviation).T).Q / deviation[:, None]
    train, shift = train @ back, mean @ back
    fold = Fold(
        train=Stack([Matrix((train + shift).to(reading.dtype))]),
        test=Stack([Matrix((test @ back).to(reading.dtype))]),
        train_rows=split[0],
        test_order=np.arange(len(split[1])),
        mean=shift,
        deviation=torch.ones_like(shift),
        frame=frame,
        back=back,
    )
    return fold, train.T @ train


def _deviation(n: int, mean: torch.Tensor, variance: torch.Tensor, frame: Frame, reading: Reading) -> torch.Tensor:
    """Return what standardised weights are divided by (d,); columns constant up to rounding keep their scale."""
    if not reading.standardize:
        return (1.0 / frame.scale).to(reading.device)
    eps = torch.finfo(torch.float64).eps
    constant = variance <= n * eps * variance + (n * mean * eps) ** 2
    return torch.where(constant, 1.0, variance.sqrt())


def _places(wanted: np.ndarray, parts: Sequence[np.ndarray]) -> np.ndarray:
    """Return where each wanted row is among the rows of the parts."""
    rows = np.concatenate(parts)
    order = np.argsort(rows, kind="stable")
    return order[np.searchsorted(rows, wanted, sorter=order)]
