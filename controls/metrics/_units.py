"""Sums over the rows of each unit, and over the rows of all other units."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import numpy as np

from controls.core.metric import ColumnMetric
from controls.core.trainer import Output


@final
@dataclass(frozen=True, eq=False)
class Units:
    """The m rows sorted by unit. ``starts`` and ``counts`` are those of units 0 … G−1 in that order."""

    order: np.ndarray
    starts: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, codes: np.ndarray) -> Units:
        """Sort rows by their unit codes (m,); O(m log m)."""
        counts = np.bincount(codes)
        return cls(np.argsort(codes, kind="stable"), np.cumsum(counts) - counts, counts)

    @property
    def remaining(self) -> np.ndarray:
        """Rows left where a unit is left out, shape (G, 1)."""
        return (self.counts.sum() - self.counts)[:, None]

    def reduce(self, ufunc: np.ufunc, rows: np.ndarray, empty: float = 0) -> np.ndarray:
        """Reduce rows (m, B), already sorted by unit, to (G, B); a unit without rows gives ``empty``."""
        by_unit = ufunc.reduceat(rows, self.starts, axis=0)
        by_unit[self.counts == 0] = empty  # reduceat returns a neighbour's row for an empty stretch
        return by_unit

    def others(self, ufunc: np.ufunc, rows: np.ndarray, empty: float = 0) -> np.ndarray:
        """Reduce, for each unit, the rows (m, B) of all other units; shape (G, B)."""
        return others(ufunc, self.reduce(ufunc, rows[self.order], empty), empty)


def others(ufunc: np.ufunc, by_unit: np.ndarray, empty: float = 0) -> np.ndarray:
    """Combine, for each unit, what all other units have; shape (G, B).

    From both ends inwards, not as total minus own, which would cancel where one unit is large.
    """
    edge = np.full_like(by_unit[:1], empty)
    before = np.concatenate([edge, ufunc.accumulate(by_unit[:-1], axis=0)])
    after = np.concatenate([ufunc.accumulate(by_unit[:0:-1], axis=0)[::-1], edge])
    return ufunc(before, after)


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Divide; NaN where the denominator is not positive."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(denominator > 0, np.divide(numerator, denominator), np.nan)


def mean_defined(parts: Iterator[np.ndarray]) -> np.ndarray:
    """Return the mean over parts of one shape, leaving NaN out; NaN where all are."""
    total, count = np.zeros(()), np.zeros(())
    for part in parts:
        known = ~np.isnan(part)
        total = total + np.where(known, part, 0.0)
        count = count + known
    return ratio(total, count)


class RowMean(ColumnMetric):
    """A metric that is the mean of a score per row."""

    @abstractmethod
    def rows(self, truth: np.ndarray, output: Output) -> np.ndarray:
        """Return the score of each row, shape (m, B), float64."""

    def score(self, truth: np.ndarray, output: Output) -> np.ndarray:
        """Return the mean over rows, shape (B,); O(m B) time and memory."""
        return self.rows(truth, output).mean(axis=0)

    def without_units(self, truth: np.ndarray, output: Output, units: np.ndarray) -> np.ndarray:
        """Return the score of each column with each unit left out, shape (G, B); O(m B)."""
        grouped = Units.of(units)
        return ratio(grouped.others(np.add, self.rows(truth, output)), grouped.remaining)
