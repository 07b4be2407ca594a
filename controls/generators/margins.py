"""Margins in expectation: the law of greatest entropy over 0/1 matrices, p_ij = x_i y_j / (1 + x_i y_j)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from controls.core.errors import CannotControl
from controls.generators.patterns import NonZeros, Strata, put_together, rows_for

_NEAR = 1e-8  # of a margin, in expectation
_STEPS = 200


@final
@dataclass(frozen=True, eq=False)
class Law:
    """Independent non-zeros, rows of a class alike.

    Parameters
    ----------
    row_class : array of shape (n,)
    columns : array of shape (m,)
        Columns that can have non-zeros.
    p : array of shape (classes, m)
        The probability of a non-zero.
    """

    row_class: np.ndarray
    columns: np.ndarray
    p: np.ndarray

    @property
    def expected_overlap(self) -> float:
        """Non-zeros that two draws share, on average."""
        return float(np.bincount(self.row_class, minlength=len(self.p)) @ np.square(self.p).sum(axis=1))

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return non-zeros per row (n,) and their columns: a class and a column have a binomial number of them."""
        rows = [np.flatnonzero(self.row_class == each) for each in range(len(self.p))]
        parts = []
        for members, p in zip(rows, self.p, strict=True):
            counts = rng.binomial(len(members), p)
            some = np.flatnonzero(counts)
            parts.append(rows_for(self.columns[some], counts[some], len(members), rng))
        indptr, columns = put_together(rows, parts)
        return np.diff(indptr), columns


def laws_of(old: NonZeros, strata: Strata, keep: str) -> list[Law]:
    """Return the law of each stratum that has the kept margins in expectation, and the greatest entropy."""
    return [_law(old, rows, keep) for rows in strata.rows]


def _law(old: NonZeros, rows: np.ndarray, keep: str) -> Law:
    columns, counts = np.unique(old.columns_of(rows), return_counts=True)
    sizes = old.per_row[rows]
    if keep == "both":
        degrees, row_class = np.unique(sizes, return_inverse=True)
        levels, column_class = np.unique(counts, return_inverse=True)
        p = greatest_entropy((degrees, np.bincount(row_class)), (levels, np.bincount(column_class)))
        return Law(row_class, columns, p[:, column_class])
    if keep == "columns":
        return Law(np.zeros(len(rows), dtype=np.int64), columns, counts[None, :] / len(rows))
    degrees, row_class = np.unique(sizes if keep == "rows" else np.zeros_like(sizes), return_inverse=True)
    share = degrees / old.d if keep == "rows" else np.array([sizes.mean() / old.d])
    return Law(row_class, np.arange(old.d), np.repeat(share[:, None], old.d, axis=1))


def greatest_entropy(rows: tuple[np.ndarray, np.ndarray], columns: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Return the probabilities (A, B) of non-zeros, of A classes of rows and B of columns.

    Parameters
    ----------
    rows, columns : (degrees, how many there are), each a pair of arrays
        Distinct numbers of non-zeros, and of rows (or columns) with them.

    Notes
    -----
    Newton's method on log x and log y, of which the smaller side is solved for after the larger has been
    eliminated: O(min(A, B)² max(A, B)) a step. Rows and columns that are full or empty come first.
    """
    if len(rows[0]) > len(columns[0]):
        return greatest_entropy(columns, rows).T
    p = np.zeros((len(rows[0]), len(columns[0])))
    degrees, levels = rows[0].astype(np.float64), columns[0].astype(np.float64)
    live_rows, live_columns = np.ones(len(degrees), dtype=bool), np.ones(len(levels), dtype=bool)
    while live_rows.any() and live_columns.any():
        width, height = columns[1][live_columns].sum(), rows[1][live_rows].sum()
        full, empty = live_rows & (degrees >= width), live_rows & (degrees <= 0)
        if not (full | empty).any():
            full, empty = live_columns & (levels >= height), live_columns & (levels <= 0)
            if not (full | empty).any():
                break
            p[np.ix_(live_rows, full)] = 1.0
            degrees[live_rows] -= columns[1][full].sum()
            live_columns &= ~(full | empty)
            continue
        p[np.ix_(full, live_columns)] = 1.0
        levels[live_columns] -= rows[1][full].sum()
        live_rows &= ~(full | empty)
    if live_rows.any() and live_columns.any():
        inner = (degrees[live_rows], rows[1][live_rows]), (levels[live_columns], columns[1][live_columns])
        p[np.ix_(live_rows, live_columns)] = _solved(*inner)
    return p


def _solved(rows: tuple[np.ndarray, np.ndarray], columns: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Return the probabilities where no margin is full or empty."""
    (r, m), (c, k) = rows, columns
    total = float(r @ m)
    at = np.concatenate([np.log(r), np.log(c)]) - 0.5 * np.log(total)

    def value(at: np.ndarray) -> float:
        a, b = at[: len(r)], at[len(r) :]
        return float(m @ np.logaddexp(0, a[:, None] + b) @ k - (m * r) @ a - (k * c) @ b)

    lowest = value(at)
    for _ in range(_STEPS):
        p = _logistic(at[: len(r), None] + at[len(r) :])
        of_rows, of_columns = m * (p @ k - r), k * (m @ p - c)
        if max(np.abs(of_rows / m).max(), np.abs(of_columns / k).max()) < _NEAR:
            return p
        step = _newton(p * (1 - p) * m[:, None] * k, of_rows, of_columns)
        length = 1.0
        while (found := value(at - length * step)) > lowest + 1e-12 * abs(lowest) and length > 1e-6:
            length /= 2
        at, lowest = at - length * step, found
    raise CannotControl(
        'margins="expected" found no law with the expected numbers of non-zeros, which some margins rule out; keep '
        'them exactly (margins="exact").'
    )


def _newton(weights: np.ndarray, of_rows: np.ndarray, of_columns: np.ndarray) -> np.ndarray:
    """Return the step, from the Hessian's blocks: diagonal ones, and weights (A, B) between them."""
    by_row, by_column = weights.sum(axis=1), np.maximum(weights.sum(axis=0), 1e-300)
    inner = np.diag(by_row) - (weights / by_column) @ weights.T
    rows = np.linalg.lstsq(inner, of_rows - weights @ (of_columns / by_column), rcond=1e-13)[0]
    return np.concatenate([rows, (of_columns - rows @ weights) / by_column])


def _logistic(x: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0, -x))


def expected_overlap(old: NonZeros, strata: Strata, keep: str) -> float:
    """Return how many non-zeros a draw shares with any other, on average: exact, but for "both" as independent ones."""
    return sum(law.expected_overlap for law in laws_of(old, strata, keep))
