"""Counts of ordered pairs of a positive and a negative row: what the area under a ROC curve is made of.

Counts are doubled, so that a tie (half a pair) is a whole number and sums are exact. Columns are
sorted once, laid end to end, and counted in flat passes over all of them together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from controls.metrics._units import Units, others, ratio


def auc(scores: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """Return the area under the ROC curve of each column of scores (m, B), shape (B,).

    ``positive`` (m, B) says which rows are positive. NaN where a column lacks one of the two kinds.
    O(m log m) time per column, O(m B) memory.
    """
    ranked = _Ranked.of(scores, positive)
    return ratio(ranked.wins_of_positives().sum(axis=1), 2 * ranked.positives * (len(scores) - ranked.positives))


def auc_without(scores: np.ndarray, positive: np.ndarray, units: np.ndarray) -> np.ndarray:
    """Return the area under the ROC curve of each column with each unit left out, shape (G, B).

    All pairs, less those with a positive of the unit, less those with a negative of the unit, plus
    those with both, which were taken away twice. NaN where one kind is missing from what is left.
    O(m log m) time per column, O((m + G) B) memory.
    """
    grouped, ranked = Units.of(units), _Ranked.of(scores, positive)
    total = ranked.wins_of_positives().sum(axis=1)

    # From here on rows are sorted by unit, and by score within the unit.
    by_unit = np.argsort(_small(units)[ranked.order], axis=1, kind="stable")
    wins = grouped.reduce(np.add, _take(ranked.wins(), by_unit).T)
    within = ranked.take(by_unit, grouped.starts[grouped.counts > 0])
    both = grouped.reduce(np.add, within.wins_of_positives(np.repeat(grouped.starts, grouped.counts)).T)
    positives = others(np.add, grouped.reduce(np.add, within.positive.T.astype(np.int64)))
    return ratio(total - wins + both, 2 * positives * (grouped.remaining - positives))


@dataclass(frozen=True, eq=False)
class _Ranked:
    """Columns (B, m) sorted by score. ``new`` says where a stretch of equal scores starts."""

    order: np.ndarray
    values: np.ndarray
    positive: np.ndarray
    new: np.ndarray

    @classmethod
    def of(cls, scores: np.ndarray, positive: np.ndarray) -> _Ranked:
        """Sort columns of scores (m, B)."""
        columns = np.ascontiguousarray(scores.T)
        order = np.argsort(columns, axis=1)
        values = _take(columns, order)
        return cls(order, values, _take(np.ascontiguousarray(positive.T), order), _changes(values))

    def take(self, order: np.ndarray, starts: np.ndarray) -> _Ranked:
        """Return the rows in another order (B, m), in which stretches also start at ``starts``."""
        values = _take(self.values, order)
        new = _changes(values)
        new[:, starts] = True
        return _Ranked(order, values, _take(self.positive, order), new)

    @property
    def positives(self) -> np.ndarray:
        """The number of positive rows of each column, (B,)."""
        return self.positive.sum(axis=1)

    def wins_of_positives(self, first: np.ndarray | int = 0) -> np.ndarray:
        """Return twice the negatives, from place ``first`` (m,) on, below each positive, ties one half; (B, m)."""
        level, positives = self._levels(first)
        return np.where(self.positive, level - positives, 0)

    def wins(self) -> np.ndarray:
        """Return twice the pairs won with each row, a positive above a negative, ties one half; (B, m)."""
        level, positives = self._levels(0)
        return np.where(self.positive, level - positives, 2 * self.positives[:, None] - positives)

    def _levels(self, first: np.ndarray | int) -> tuple[np.ndarray, np.ndarray]:
        """Return twice the rows, and twice the positives, from ``first`` on below the middle of each row's stretch."""
        starts = np.flatnonzero(self.new)
        edges = np.append(starts, self.new.size)
        before = np.concatenate([[0], np.cumsum(self.positive)])
        stretch = (np.cumsum(self.new) - 1).reshape(self.new.shape)
        origin = np.arange(0, self.new.size, self.new.shape[1])[:, None] + first
        level = (edges[1:] + edges[:-1])[stretch] - 2 * origin
        positives = (before[edges[1:]] + before[edges[:-1]])[stretch] - 2 * before[origin]
        return level, positives


def _take(array: np.ndarray, order: np.ndarray) -> np.ndarray:
    return np.take_along_axis(array, order, axis=1)


def _small(units: np.ndarray) -> np.ndarray:
    """Return the codes as 16-bit numbers where they fit: numpy then sorts them in linear time."""
    return units.astype(np.uint16) if units.max() < 1 << 16 else units


def _changes(values: np.ndarray) -> np.ndarray:
    """Whether a sorted row differs from the one before it, shape (B, m)."""
    new = np.ones(values.shape, dtype=bool)
    new[:, 1:] = values[:, 1:] != values[:, :-1]
    return new
