"""Labels as sequences within groups: circular shifts of them, as a restriction and its orbit."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np

from controls.core.exchangeability import IndexExchangeability, labels_of
from controls.core.problem import Problem


@dataclass(frozen=True, eq=False)
class CyclicOrbit:
    """Relabelings by turning the labels of every group by any number of rows, each group by its own.

    Parameters
    ----------
    labels : array of shape (n,)
        What is turned; rows of a group are in the order given.
    codes : array of shape (n,)
        The group of each row.

    Notes
    -----
    A draw costs O(n), counting O(n) for each divisor of a length, enumeration O(n) a relabeling.
    """

    labels: np.ndarray
    codes: np.ndarray

    @cached_property
    def _members(self) -> list[np.ndarray]:
        """Rows of each group, in order."""
        return rows_of_each(self.codes)

    @cached_property
    def periods(self) -> np.ndarray:
        """The number of distinct turns of each group's labels."""
        return np.array([_period(self.labels[rows]) for rows in self._members])

    @property
    def places(self) -> np.ndarray:
        """The set of places that each row can be sent to: its group, shape (n,)."""
        return self.codes

    @property
    def log_count(self) -> float:
        """Natural logarithm of the number of distinct relabelings, identity included."""
        return float(np.log(self.periods).sum())

    def order(self, rng: np.random.Generator) -> np.ndarray:
        """Return row indices: each group turned by a number of rows that is uniform, 0 included."""
        turns = rng.integers([len(rows) for rows in self._members])
        return self._turned(turns)

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Return one relabeling, uniform over all turns, identity included."""
        return self.labels[self.order(rng)]

    def enumerate(self) -> Iterator[np.ndarray]:
        """Yield every distinct relabeling once, the identity first."""
        for turns in itertools.product(*map(range, self.periods.tolist())):
            yield self.labels[self._turned(np.array(turns))]

    def _turned(self, turns: np.ndarray) -> np.ndarray:
        order = np.empty(len(self.codes), dtype=np.int64)
        for rows, turn in zip(self._members, turns, strict=True):
            order[rows] = np.roll(rows, turn)
        return order


@final
@dataclass(frozen=True)
class Shift(IndexExchangeability):
    """The label sequence of every group may begin at any of its rows, and goes on round its end."""

    within: str | None = None

    def orbit(self, problem: Problem) -> CyclicOrbit:
        """Return the relabelings: the product over groups of the turns of each."""
        return CyclicOrbit(labels_of(problem), sequence_codes(problem, self.within))

    @property
    def confined_to(self) -> str | None:
        """The group that labels never leave."""
        return self.within

    @property
    def groups_named(self) -> tuple[str, ...]:
        """The groups that the restriction speaks of."""
        return (self.within,) if self.within else ()

    @property
    def words(self) -> str:
        """What is exchanged, in words."""
        return f"starting points of the label sequence of {f'each {self.within}' if self.within else 'all rows'}"


def sequence_codes(problem: Problem, within: str | None) -> np.ndarray:
    """Return the sequence that each row belongs to: its group, or one for all rows where None."""
    return np.zeros(problem.n, dtype=np.int64) if within is None else problem.codes(within)


def rows_of_each(codes: np.ndarray) -> list[np.ndarray]:
    """Return the rows of each group 0 … k−1, in the order given."""
    return np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])


def _period(labels: np.ndarray) -> int:
    """Return the smallest number of places by which a sequence can be turned onto itself."""
    n = len(labels)
    return next(p for p in range(1, n + 1) if n % p == 0 and np.array_equal(labels[p:], labels[: n - p]))
