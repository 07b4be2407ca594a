"""Counts of ordered pairs of a positive and a negative row: what the area under a ROC curve is made of.

Counts are doubled, so that a tie (half a pair) is a whole number and sums are exact.
"""

from __future__ import annotations

import numpy as np

from controls.metrics._units import Units, others, ratio


def auc(scores: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """Return the area under the ROC curve of each column of scores (m, B), shape (B,).

    ``positive`` (m, B) says which rows are positive. NaN where a column lacks one of the two kinds.
    O(m log m) time per column, O(m B) memory.
    """
    order = np.argsort(scores, axis=0)
    start, end = _ties(_changes(_take(scores, order)))
    ranked = _take(positive, order)
    positives = ranked.sum(axis=0)
    # Summed over positives: rows below and half of those level, less the positives among them.
    wins = np.where(ranked, start + end, 0).sum(axis=0) - positives**2
    return ratio(wins, 2 * positives * (len(scores) - positives))


def auc_without(scores: np.ndarray, positive: np.ndarray, units: np.ndarray) -> np.ndarray:
    """Return the area under the ROC curve of each column with each unit left out, shape (G, B).

    All pairs, less those with a positive of the unit, less those with a negative of the unit, plus
    those with both, which were taken away twice. NaN where one kind is missing from what is left.
    O(m log m) time per column, O((m + G) B) memory.
    """
    grouped = Units.of(units)
    order = np.argsort(scores, axis=0)
    ranked, values = _take(positive, order), _take(scores, order)
    wins = _wins(ranked, *_ties(_changes(values)))
    total = np.where(ranked, wins, 0).sum(axis=0)

    # From here on rows are sorted by unit, and by score within the unit.
    by_unit = np.argsort(_small(units)[order], axis=0, kind="stable")
    ranked, values, wins = (_take(array, by_unit) for array in (ranked, values, wins))
    both = grouped.reduce(np.add, np.where(ranked, _wins_within(ranked, values, grouped), 0))
    left = total - grouped.reduce(np.add, wins) + both

    positives = others(np.add, grouped.reduce(np.add, ranked.astype(np.int64)))
    return ratio(left, 2 * positives * (grouped.remaining - positives))


def _take(array: np.ndarray, order: np.ndarray) -> np.ndarray:
    return np.take_along_axis(array, order, axis=0)


def _small(units: np.ndarray) -> np.ndarray:
    """Return the codes as 16-bit numbers where they fit: numpy then sorts them in linear time."""
    return units.astype(np.uint16) if units.max() < 1 << 16 else units


def _changes(ranked: np.ndarray) -> np.ndarray:
    """Whether a sorted row differs from the one before it, shape (m, B)."""
    new = np.ones(ranked.shape, dtype=bool)
    new[1:] = ranked[1:] != ranked[:-1]
    return new


def _ties(new: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where each row's stretch of equal rows starts, and where it ends (exclusive), shape (m, B)."""
    m = len(new)
    index = np.arange(m)[:, None]
    start = np.maximum.accumulate(np.where(new, index, 0), axis=0)
    last = np.ones(new.shape, dtype=bool)
    last[:-1] = new[1:]
    end = np.minimum.accumulate(np.where(last, index + 1, m)[::-1], axis=0)[::-1]
    return start, end


def _positives_before(ranked: np.ndarray) -> np.ndarray:
    """Return how many positives stand before each place, shape (m + 1, B)."""
    count = np.zeros((len(ranked) + 1, ranked.shape[1]), dtype=np.int64)
    np.cumsum(ranked, axis=0, out=count[1:])
    return count


def _wins(ranked: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Return twice the pairs won with each row: a positive above a negative, ties one half."""
    before = _positives_before(ranked)
    positives = _take(before, start) + _take(before, end)
    return np.where(ranked, start + end - positives, 2 * before[-1] - positives)


def _wins_within(ranked: np.ndarray, values: np.ndarray, grouped: Units) -> np.ndarray:
    """Return twice the negatives of its own unit that a positive row would stand above, ties one half."""
    new = _changes(values)
    new[grouped.starts[grouped.counts > 0]] = True
    start, end = _ties(new)
    first = np.repeat(grouped.starts, grouped.counts)
    before = _positives_before(ranked)
    positives = _take(before, start) + _take(before, end) - 2 * before[first]
    return start + end - 2 * first[:, None] - positives
