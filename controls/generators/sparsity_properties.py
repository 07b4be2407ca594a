"""Named properties of sparse activations: how many non-zeros there are, their values, and where they stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np

from controls.core.arrays import dense
from controls.core.problem import Problem
from controls.core.properties import Association, Property
from controls.core.sequences import sequence_codes
from controls.generators.patterns import non_zeros

_ROWS = 500  # of which squares are counted


class Margin(Property):
    """Numbers of non-zeros, counted in some way."""


@final
@dataclass(frozen=True)
class Fill(Margin):
    """How many non-zeros there are, optionally within each group."""

    within: str | None = None

    @property
    def words(self) -> str:
        """The property in words."""
        return "how many non-zeros there are" + _where(self.within)

    def holds(self, before: Problem, after: Problem) -> bool:
        """Whether the numbers are the same."""
        old, new = (
            np.bincount(sequence_codes(before, self.within), weights=non_zeros(problem.X).per_row)
            for problem in (before, after)
        )
        return bool((old == new).all())


@final
@dataclass(frozen=True)
class RowCounts(Margin):
    """How many non-zeros each row has: its L0."""

    @property
    def words(self) -> str:
        """The property in words."""
        return "how many features fire in each row (its L0)"

    def holds(self, before: Problem, after: Problem) -> bool:
        """Whether the numbers are the same."""
        return bool((non_zeros(before.X).per_row == non_zeros(after.X).per_row).all())


@final
@dataclass(frozen=True)
class ColumnCounts(Margin):
    """How many non-zeros each column has: its firing rate, optionally within each group."""

    within: str | None = None

    @property
    def words(self) -> str:
        """The property in words."""
        return "how often each feature fires" + _where(self.within)

    def holds(self, before: Problem, after: Problem) -> bool:
        """Whether the numbers are the same."""
        old, new = (np.sort(_stratum_columns(problem, before, self.within)) for problem in (before, after))
        return np.array_equal(old, new)


@final
@dataclass(frozen=True)
class Magnitudes(Property):
    """The values of non-zeros, as a multiset: of each column, each row or all, optionally within each group."""

    per: str
    within: str | None = None

    @property
    def words(self) -> str:
        """The property in words."""
        whose = {"column": "each feature", "row": "each row", "all": "all"}[self.per]
        return f"the magnitudes of {whose}" + _where(self.within)

    def holds(self, before: Problem, after: Problem) -> bool:
        """Whether sorted values agree, bit for bit."""
        old, new = (self._sorted(problem, before) for problem in (before, after))
        return all(np.array_equal(one, other) for one, other in zip(old, new, strict=True))

    def _sorted(self, problem: Problem, before: Problem) -> tuple[np.ndarray, np.ndarray]:
        found = non_zeros(problem.X)
        if self.per == "column":
            keys = _stratum_columns(problem, before, self.within)
        else:
            rows = np.repeat(np.arange(found.n), found.per_row)
            keys = rows if self.per == "row" else sequence_codes(before, self.within)[rows]
        order = np.lexsort((found.values, keys))
        return keys[order], found.values[order]


@final
@dataclass(frozen=True)
class Cofiring(Association):
    """Which features fire together in which rows, optionally within each group.

    Two rows and two features of which each row has one, another one each, can be turned round without a change
    of any count. Of those that there were, as many stand as they did as stand turned round, by chance.
    """

    within: str | None = None

    @property
    def words(self) -> str:
        """The property in words."""
        return "which features fire together" + _where(self.within)

    def strength(self, before: Problem, after: Problem) -> float:
        """Return how many such squares stand, less those turned round, as a share of all (first 500 rows)."""
        old, new = (np.asarray(dense(problem.X[:_ROWS]) != 0, dtype=np.float64) for problem in (before, after))
        codes = sequence_codes(before, self.within)[:_ROWS]
        same = np.triu(codes[:, None] == codes, 1)
        stand, turned = (old * new) @ ((1 - old) * (1 - new)).T, (old * (1 - new)) @ ((1 - old) * new).T
        there = old @ (1 - old).T
        total = float((there * there.T)[same].sum())
        return float((stand * stand.T - turned * turned.T)[same].sum()) / total if total else 0.0


def _stratum_columns(problem: Problem, before: Problem, within: str | None) -> np.ndarray:
    """Return the stratum and column of every non-zero, as one number."""
    found: Any = non_zeros(problem.X)
    rows = np.repeat(np.arange(found.n), found.per_row)
    return sequence_codes(before, within)[rows] * found.d + found.indices


def _where(within: str | None) -> str:
    return f" within each {within}" if within else ""
