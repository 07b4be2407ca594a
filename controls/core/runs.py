"""Bursts of two-valued labels: the relabelings that keep how long they are, drawn, counted and enumerated."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from scipy.special import gammaln

from controls.core.sequences import rows_of_each


def runs_of(mask: np.ndarray) -> tuple[int, ...]:
    """Return the lengths of the runs of a sequence, in order.

    Examples
    --------
    >>> import numpy as np
    >>> runs_of(np.array([True, True, False, True]))
    (2, 1, 1)
    """
    ends = np.flatnonzero(np.diff(mask)) + 1
    return tuple(np.diff(np.concatenate([[0], ends, [len(mask)]])).tolist())


class Bursts(Protocol):
    """The arrangements of the bursts of one sequence."""

    @property
    def log_count(self) -> float:
        """Natural logarithm of their number."""
        ...

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Return one, uniform over all, as a mask."""
        ...

    def enumerate(self) -> Iterator[np.ndarray]:
        """Yield each of them once."""
        ...


@dataclass(frozen=True)
class Placed:
    """Bursts in any order, anywhere in a sequence, with at least one row between them.

    There are C(z + 1, k) places for k bursts among z silent rows, and k! / prod m_l! orders of bursts
    of which m_l have length l.
    """

    lengths: tuple[int, ...]
    silent: int

    @property
    def log_count(self) -> float:
        """Natural logarithm of the number of arrangements."""
        k, z = len(self.lengths), self.silent
        return float(gammaln(z + 2) - gammaln(k + 1) - gammaln(z + 2 - k)) + _log_orders(self.lengths)

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Return one, uniform over all, as a mask."""
        places = np.sort(rng.permutation(self.silent + 1)[: len(self.lengths)])
        return self._mask(places, rng.permutation(self.lengths))

    def enumerate(self) -> Iterator[np.ndarray]:
        """Yield each of them once."""
        orders = sorted(set(itertools.permutations(self.lengths)))
        for places in itertools.combinations(range(self.silent + 1), len(self.lengths)):
            for order in orders:
                yield self._mask(np.array(places, dtype=np.int64), np.array(order, dtype=np.int64))

    def _mask(self, places: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Return bursts of these lengths, each before the silent row of its place (the last: after all)."""
        mask = np.zeros(self.silent + int(np.sum(lengths)), dtype=bool)
        starts = places + np.cumsum(lengths) - lengths
        for start, length in zip(starts, lengths, strict=True):
            mask[start : start + length] = True
        return mask


@dataclass(frozen=True)
class Permuted:
    """Bursts trade places with bursts, and gaps with gaps; the first and the last run stay."""

    lengths: tuple[int, ...]  # of all runs
    first: bool  # whether the first run is a burst

    @property
    def _inner(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Lengths of the runs between the first and the last, every other one of a kind."""
        inner = self.lengths[1:-1]
        return inner[::2], inner[1::2]

    @property
    def log_count(self) -> float:
        """Natural logarithm of the number of arrangements."""
        return sum(map(_log_orders, self._inner))

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Return one, uniform over all, as a mask."""
        one, other = (rng.permutation(kind).astype(np.int64) for kind in self._inner)
        return self._mask(one, other)

    def enumerate(self) -> Iterator[np.ndarray]:
        """Yield each of them once."""
        one, other = (sorted(set(itertools.permutations(kind))) for kind in self._inner)
        for a, b in itertools.product(one, other):
            yield self._mask(a, b)

    def _mask(self, one: Sequence[int] | np.ndarray, other: Sequence[int] | np.ndarray) -> np.ndarray:
        lengths = np.array(self.lengths)
        lengths[1:-1][::2], lengths[1:-1][1::2] = one, other
        return np.repeat((np.arange(len(lengths)) % 2 == 0) == self.first, lengths)


@dataclass(frozen=True, eq=False)
class BurstOrbit:
    """Relabelings of two-valued labels that keep the bursts of each group.

    Parameters
    ----------
    labels : array of shape (n,)
        Of two values; the higher one makes the bursts.
    codes : array of shape (n,)
        The group of each row; rows of a group are in the order given.
    gaps : bool
        Whether gaps between bursts keep their lengths too.

    Notes
    -----
    A draw costs O(n), in a loop over the groups that have something to move.
    """

    labels: np.ndarray
    codes: np.ndarray
    gaps: bool = False

    @cached_property
    def _values(self) -> np.ndarray:
        return np.unique(self.labels)

    @cached_property
    def _moving(self) -> list[tuple[np.ndarray, Bursts]]:
        """Rows and arrangements of the groups that have more than one."""
        found = ((rows, self._bursts(rows)) for rows in rows_of_each(self.codes))
        return [(rows, bursts) for rows, bursts in found if bursts.log_count > 1e-9]

    def _bursts(self, rows: np.ndarray) -> Bursts:
        mask = self.labels[rows] == self._values[-1]
        runs = runs_of(mask)
        if self.gaps:
            return Permuted(runs, bool(mask[0]))
        return Placed(runs[0 if mask[0] else 1 :: 2], int((~mask).sum()))

    @property
    def log_count(self) -> float:
        """Natural logarithm of the number of distinct relabelings, identity included."""
        return math.fsum(bursts.log_count for _, bursts in self._moving)

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Return one relabeling, uniform over all, identity included."""
        return self._with([bursts.draw(rng) for _, bursts in self._moving])

    def enumerate(self) -> Iterator[np.ndarray]:
        """Yield every distinct relabeling once, the identity first."""
        yield self.labels
        for masks in itertools.product(*(tuple(bursts.enumerate()) for _, bursts in self._moving)):
            relabeled = self._with(masks)
            if not np.array_equal(relabeled, self.labels):
                yield relabeled

    def _with(self, masks: Sequence[np.ndarray]) -> np.ndarray:
        labels = np.array(self.labels)
        for (rows, _), mask in zip(self._moving, masks, strict=True):
            labels[rows] = self._values[mask.astype(np.int64)]
        return labels


def _log_orders(lengths: Sequence[int]) -> float:
    """Return the natural logarithm of the number of distinct orders."""
    repeats = list(Counter(lengths).values())
    return float(gammaln(len(lengths) + 1) - gammaln(np.array(repeats, dtype=float) + 1).sum())
