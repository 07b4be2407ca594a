"""Average precision of ranked rows, and what it is without each unit.

A positive row counts by the precision down to its score: positives at or above it over rows at or
above it, rows of equal score included.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from controls.metrics._units import Units, ratio


def average_precision(scores: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """Return the average precision of each column of scores (m, B), shape (B,).

    ``positive`` (m, B) says which rows are positive. NaN where a column has none.
    O(m log m) time per column, O(m B) memory.
    """
    ranked = _Ranked.of(scores, positive)
    return ratio(np.where(ranked.hits, ranked.above / ranked.end, 0.0).sum(axis=0), ranked.hits.sum(axis=0))


def average_precision_without(scores: np.ndarray, positive: np.ndarray, units: np.ndarray) -> np.ndarray:
    """Return the average precision of each column with each unit left out, shape (G, B).

    Units of up to sqrt(m) rows share tables of what 1, 2, … rows that go missing above a row make of
    its precision; larger ones, of which there are fewer than sqrt(m), are left out in turn.
    O(m sqrt(m)) time per column, O((m + G) B) memory.
    """
    counts = np.bincount(units)
    small = counts <= math.isqrt(len(units))
    left = np.empty((len(counts), scores.shape[1]))
    if small.any():
        left[small] = _without_small(_Ranked.of(scores, positive), units, np.flatnonzero(small))
    for unit in np.flatnonzero(~small):
        keep = units != unit
        left[unit] = average_precision(scores[keep], positive[keep]) if keep.any() else np.nan
    return left


@dataclass(frozen=True, eq=False)
class _Ranked:
    """Rows from the best score down, each array (m, B)."""

    order: np.ndarray
    values: np.ndarray  # scores
    hits: np.ndarray  # whether positive
    start: np.ndarray  # where the stretch of equal scores that a row is in begins
    end: np.ndarray  # where it ends (exclusive): how many rows are at or above the row
    above: np.ndarray  # how many of these are positive

    @classmethod
    def of(cls, scores: np.ndarray, positive: np.ndarray) -> _Ranked:
        order = np.argsort(-scores, axis=0)
        values, hits = _take(scores, order), _take(positive, order)
        start, end = _stretches(_changes(values))
        return cls(order, values, hits, start, end, _take(np.cumsum(hits, axis=0), end - 1))


def _without_small(ranked: _Ranked, units: np.ndarray, which: np.ndarray) -> np.ndarray:
    """Return the average precision without each of some units, by their rows from the best score down.

    Down to the first of its rows a unit is not missed; between its k-th and the next, every row has k
    rows fewer above it, so many of them positive. Sums over such stretches are differences of running
    sums. What the unit's own positives were given there is taken off again.
    """
    grouped = Units.of(units)
    counts, first = grouped.counts[which], grouped.starts[which]
    places = np.argsort(units[ranked.order], axis=0, kind="stable")  # of the rows in the ranking, unit by unit
    own_hits, starts = _take(ranked.hits, places), _take(ranked.start, places)
    shape = (len(which), ranked.hits.shape[1])
    total, gone, begin = np.zeros(shape), np.zeros(shape), np.zeros(shape, dtype=np.int64)
    for missing in range(int(counts.max()) + 1):
        more = (counts > missing)[:, None]
        following = np.minimum(first + missing, len(units) - 1)  # the unit's next row in the ranking
        stop = np.where(more, starts[following], len(units))
        precision, rows = _running_sums(ranked, missing)
        total += _take(precision, stop) - _take(precision, begin) - gone * (_take(rows, stop) - _take(rows, begin))
        gone += more & own_hits[following]
        begin = stop
    total -= grouped.reduce(np.add, _own_shares(ranked, places, own_hits, grouped))[which]
    return ratio(total, ranked.hits.sum(axis=0) - gone)


def _running_sums(ranked: _Ranked, missing: int) -> tuple[np.ndarray, np.ndarray]:
    """Return sums, over the positives before each place, of above / (end − missing) and of 1 / (end − missing)."""
    share = np.where(ranked.hits & (ranked.end > missing), 1.0 / np.maximum(ranked.end - missing, 1), 0.0)
    sums = np.zeros((2, len(share) + 1, share.shape[1]))
    np.cumsum(share * ranked.above, axis=0, out=sums[0, 1:])
    np.cumsum(share, axis=0, out=sums[1, 1:])
    return sums[0], sums[1]


def _own_shares(ranked: _Ranked, places: np.ndarray, own_hits: np.ndarray, grouped: Units) -> np.ndarray:
    """Return what each row, sorted by unit, was given although its unit is missing; shape (m, B)."""
    new = _changes(_take(ranked.values, places))
    new[grouped.starts[grouped.counts > 0]] = True
    last = _stretches(new)[1]
    first = np.repeat(grouped.starts, grouped.counts)
    positives = np.zeros((len(own_hits) + 1, own_hits.shape[1]), dtype=np.int64)
    np.cumsum(own_hits, axis=0, out=positives[1:])
    above = _take(ranked.above, places) - _take(positives, last) + positives[first]
    rows = _take(ranked.end, places) - (last - first[:, None])
    return np.where(own_hits & (rows > 0), above / np.maximum(rows, 1), 0.0)


def _take(array: np.ndarray, places: np.ndarray) -> np.ndarray:
    return np.take_along_axis(array, places, axis=0)


def _changes(values: np.ndarray) -> np.ndarray:
    """Whether a row differs from the one before it, shape (m, B)."""
    new = np.ones(values.shape, dtype=bool)
    new[1:] = values[1:] != values[:-1]
    return new


def _stretches(new: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where the stretch that each row is in starts, and where it ends (exclusive), shape (m, B)."""
    m = len(new)
    index = np.arange(m)[:, None]
    start = np.maximum.accumulate(np.where(new, index, 0), axis=0)
    last = np.ones(new.shape, dtype=bool)
    last[:-1] = new[1:]
    return start, np.minimum.accumulate(np.where(last, index + 1, m)[::-1], axis=0)[::-1]
