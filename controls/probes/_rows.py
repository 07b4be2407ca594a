"""Rows: activations read once, in parts that the folds share, with what each part adds to a scatter matrix.

Rows that are trained on and tested in the same folds form a part: with K-fold splits, one per fold.
A fold's mean and scatter matrix are merged from those of its parts about their own means (Chan,
Golub and LeVeque 1983), a sum of positive terms: nothing is subtracted, so nothing cancels, and
no row is multiplied twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from controls.core.arrays import dense_rows
from controls.core.trainer import Split
from controls.probes._matrix import Matrix

_CHUNK_BYTES = 1 << 24  # of float64, read at a time
_SAMPLE = 255  # rows that the frame is made from
_MOST_SCATTER = 4  # numbers in the scatter matrices of parts, for one in the rows
_LEAST_ROWS = 16  # of a part without a scatter matrix, on average


def read_rows(activations: np.ndarray, rows: np.ndarray) -> torch.Tensor:
    """Return some rows of the activations in float64, shape (m, d)."""
    return torch.from_numpy(np.asarray(dense_rows(activations, rows), dtype=np.float64))


def _chunks(rows: np.ndarray, d: int) -> Iterator[np.ndarray]:
    size = max(1, _CHUNK_BYTES // (8 * d))
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


@dataclass(frozen=True, eq=False)
class Frame:
    """A common centre (d,) and scale (d,) of all rows, on the CPU: what is multiplied is (row − centre) / scale.

    They keep numbers near 1, so that rounding is no matter of units; fits do not depend on them.
    Scales are powers of two.
    """

    centre: torch.Tensor
    scale: torch.Tensor

    def apply(self, rows: torch.Tensor) -> torch.Tensor:
        """Return rows (m, d) in the frame; in place."""
        return rows.sub_(self.centre).div_(self.scale)


def make_frame(activations: np.ndarray, rows: np.ndarray) -> Frame:
    """Return the frame of some rows, from at most 255 of them evenly taken: their median, and how far they reach.

    Rows far out hardly move a median, so that they take no digits from the others.
    """
    some = read_rows(activations, rows[np.linspace(0, len(rows) - 1, min(len(rows), _SAMPLE)).astype(np.int64)])
    centre = some.median(0).values
    reach = (some - centre).abs().amax(0)
    return Frame(centre, torch.where(reach > 0, torch.exp2(torch.log2(reach).floor()), 1.0))


@dataclass(frozen=True, eq=False)
class Moments:
    """The number, mean (d,) and scatter matrix (d, d) about the mean of some rows, or its diagonal, in float64."""

    n: int
    mean: torch.Tensor
    scatter: torch.Tensor

    def merge(self, other: Moments) -> Moments:
        """Return the moments of both."""
        n = self.n + other.n
        apart = other.mean - self.mean
        scatter, weight = self.scatter + other.scatter, self.n * other.n / n
        if scatter.ndim == 2:
            scatter.addr_(apart, apart, alpha=weight)
        else:
            scatter.addcmul_(apart, apart, value=weight)
        return Moments(n, self.mean + apart * (other.n / n), scatter)

    @property
    def variance(self) -> torch.Tensor:
        """The variance of each column (d,)."""
        return (self.scatter.diagonal() if self.scatter.ndim == 2 else self.scatter) / self.n


def moments(rows: torch.Tensor, *, crossed: bool = True) -> Moments:
    """Return the moments of rows (m, d); of their scatter matrix the diagonal alone, unless ``crossed``."""
    centred = rows.clone()
    mean = centre_(centred)
    return Moments(len(rows), mean, centred.T @ centred if crossed else centred.square_().sum(0))


def centre_(rows: torch.Tensor) -> torch.Tensor:
    """Subtract the mean of rows (m, d) in place, and return it."""
    mean = rows.mean(0)
    rows -= mean
    rest = rows.mean(0)  # what rounding left of the mean matters where it dwarfs the deviations
    rows -= rest
    return mean + rest


@dataclass(frozen=True, eq=False)
class Part:
    """Some rows of the activations, in the frame."""

    rows: np.ndarray
    matrix: Matrix
    moments: Moments


@dataclass(frozen=True)
class Reading:
    """How rows are read: standardised or not; dtype and device; whether scatter matrices are needed, or variances."""

    standardize: bool
    dtype: torch.dtype
    device: torch.device
    crossed: bool = True


def make_part(activations: np.ndarray, rows: np.ndarray, frame: Frame, reading: Reading) -> Part:
    """Return a part; its moments are those of the rows as rounded to the dtype. Time O(m d²), or O(m d)."""
    d = activations.shape[1]
    values = torch.empty(len(rows), d, dtype=reading.dtype)
    found, start = None, 0
    for chunk in _chunks(rows, d):
        part = values[start : start + len(chunk)]
        part.copy_(frame.apply(read_rows(activations, chunk)))
        more = moments(part.to(reading.device, torch.float64), crossed=reading.crossed)
        found, start = more if found is None else found.merge(more), start + len(chunk)
    if found is None:
        found = moments(torch.zeros(1, d, dtype=torch.float64, device=reading.device), crossed=reading.crossed)
    return Part(rows, Matrix(values.to(reading.device)), found)


@dataclass(frozen=True, eq=False)
class Grouping:
    """Rows (one array a part) and, for each fold, the parts it trains on and those it tests."""

    rows: tuple[np.ndarray, ...]
    train: tuple[tuple[int, ...], ...]
    test: tuple[tuple[int, ...], ...]


def shared_parts(splits: Sequence[Split], shape: tuple[int, int], *, crossed: bool = True) -> Grouping | None:
    """Return the parts that folds share; None where sharing does not pay.

    It does not where a fold names a row twice, or where parts are so many or so small that their
    scatter matrices would outweigh the rows; or, without those, that products of them are slow.
    """
    n, d = shape
    least = d / _MOST_SCATTER if crossed else _LEAST_ROWS
    if any(len(np.unique(rows)) < len(rows) for split in splits for rows in split):
        return None
    member = np.zeros((n, 2 * len(splits)), dtype=bool)
    for k, split in enumerate(splits):
        for side, rows in enumerate(split):
            member[rows, 2 * k + side] = True
    used = np.flatnonzero(member.any(axis=1))
    patterns, part_of = np.unique(member[used], axis=0, return_inverse=True)
    if len(patterns) * least > len(used):
        return None
    order = np.argsort(part_of.ravel(), kind="stable")
    ends = np.cumsum(np.bincount(part_of.ravel()))[:-1]
    sides = [tuple(tuple(np.flatnonzero(column).tolist()) for column in patterns.T[side::2]) for side in (0, 1)]
    return Grouping(tuple(np.split(used[order], ends)), sides[0], sides[1])


class Parts:
    """The parts that folds share, each read when first needed and then kept."""

    def __init__(self, activations: np.ndarray, grouping: Grouping, frame: Frame, reading: Reading) -> None:
        self._activations, self._grouping, self._frame, self._reading = activations, grouping, frame, reading
        self._made: dict[int, Part] = {}

    def fold(self, k: int) -> tuple[list[Part], list[Part]]:
        """Return the parts that fold ``k`` trains on, and those it tests."""
        return [self._part(i) for i in self._grouping.train[k]], [self._part(i) for i in self._grouping.test[k]]

    def _part(self, i: int) -> Part:
        if i not in self._made:
            rows = self._grouping.rows[i]
            self._made[i] = make_part(self._activations, rows, self._frame, self._reading)
        return self._made[i]
