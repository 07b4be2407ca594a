"""Patterns of non-zeros: read from activations, drawn anew with kept margins, and given values again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from controls.core.arrays import dense_rows, is_mapped, is_sparse
from controls.core.problem import Problem
from controls.core.sequences import rows_of_each, sequence_codes


@final
@dataclass(frozen=True, eq=False)
class NonZeros:
    """The non-zeros of activations (n, d), by rows.

    Parameters
    ----------
    indptr : array of shape (n + 1,), int64
    indices : array of shape (nnz,), int32
        Columns, sorted within each row.
    values : array of shape (nnz,)
    d : int
    """

    indptr: np.ndarray
    indices: np.ndarray
    values: np.ndarray
    d: int

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.indptr) - 1

    @property
    def per_row(self) -> np.ndarray:
        """Non-zeros of each row, shape (n,)."""
        return np.diff(self.indptr)

    def columns_of(self, rows: np.ndarray) -> np.ndarray:
        """Return the columns of all non-zeros of some rows."""
        return self.indices if len(rows) == self.n else self.indices[entries(self.indptr, rows)]


@final
@dataclass(frozen=True, eq=False)
class Strata:
    """Rows that are drawn together: stratum s has the rows ``order[bounds[s]:bounds[s + 1]]``."""

    order: np.ndarray
    bounds: np.ndarray

    @property
    def rows(self) -> list[np.ndarray]:
        """The rows of each stratum."""
        return np.split(self.order, self.bounds[1:-1])


def non_zeros(X: Any) -> NonZeros:
    """Return the non-zeros of activations; explicit zeros are none."""
    from scipy import sparse

    if not is_sparse(X):
        X = sparse.csr_array(dense_rows(X, np.arange(X.shape[0])) if is_mapped(X) else X)
    elif not X.data.all():
        X = X.copy()
        X.eliminate_zeros()
    indptr, indices = X.indptr.astype(np.int64, copy=False), X.indices.astype(np.int32, copy=False)
    return NonZeros(indptr, indices, X.data, X.shape[1])


def as_activations(X: Any, drawn: NonZeros) -> Any:
    """Return drawn non-zeros in the form that the activations had: CSR with its types, or dense."""
    if is_sparse(X):
        parts = (drawn.values, drawn.indices.astype(X.indices.dtype), drawn.indptr.astype(X.indptr.dtype))
        return type(X)(parts, shape=X.shape, copy=False)
    found = np.zeros(X.shape, dtype=drawn.values.dtype)
    found[np.repeat(np.arange(drawn.n), drawn.per_row), drawn.indices] = drawn.values
    return found


def strata_of(problem: Problem, within: str | None) -> Strata:
    """Return the rows of each group, or of all."""
    rows = rows_of_each(sequence_codes(problem, within))
    return Strata(np.concatenate(rows), np.concatenate([[0], np.cumsum([len(part) for part in rows])]))


def entries(indptr: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the places of the non-zeros of some rows, row after row."""
    sizes = indptr[rows + 1] - indptr[rows]
    begins = np.cumsum(sizes) - sizes
    return np.arange(int(sizes.sum())) + np.repeat(indptr[rows] - begins, sizes)


def seeds_for(count: int, rng: np.random.Generator) -> np.ndarray:
    """Return a 64-bit seed for each piece of work."""
    return rng.integers(2**64, size=count, dtype=np.uint64)


def drawn_fill(old: NonZeros, strata: Strata, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return a pattern with as many non-zeros in each stratum, anywhere."""

    def draw(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        cells = distinct(len(rows) * old.d, int(old.per_row[rows].sum()), rng)
        return np.bincount(cells // old.d, minlength=len(rows)), (cells % old.d).astype(np.int32)

    return put_together(strata.rows, [draw(rows) for rows in strata.rows])


def drawn_rows(old: NonZeros, strata: Strata, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return a pattern with as many non-zeros in each row, in any columns."""
    from controls.generators._trade_kernels import choose

    return old.indptr, choose(old.indptr, old.d, seeds_for(old.n, rng))


def drawn_columns(old: NonZeros, strata: Strata, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return a pattern with as many non-zeros in each column of each stratum, in any of its rows."""

    def draw(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        columns, counts = np.unique(old.columns_of(rows), return_counts=True)
        return rows_for(columns, counts, len(rows), rng)

    return put_together(strata.rows, [draw(rows) for rows in strata.rows])


def rows_for(
    columns: np.ndarray, counts: np.ndarray, n: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return non-zeros per row (n,) and their columns: each column in ``counts`` distinct rows of n, any of them."""
    from scipy import sparse

    from controls.generators._trade_kernels import choose

    indptr = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
    rows = choose(indptr, n, seeds_for(len(counts), rng))
    ones = np.ones(len(rows), dtype=np.int8)
    by_row = sparse.csc_array((ones, rows, indptr), shape=(n, len(columns))).tocsr()
    return np.diff(by_row.indptr), columns[by_row.indices].astype(np.int32)


def put_together(
    rows: Sequence[np.ndarray], parts: Sequence[tuple[np.ndarray, np.ndarray]]
) -> tuple[np.ndarray, np.ndarray]:
    """Return (indptr, indices) of all rows, from the numbers per row and the columns of parts of them."""
    order = np.concatenate(rows)
    sizes = np.concatenate([size for size, _ in parts]).astype(np.int64)
    columns = np.concatenate([part for _, part in parts])
    there = np.concatenate([[0], np.cumsum(sizes)])
    if (order[1:] > order[:-1]).all():
        return there, columns
    back = np.argsort(order)
    return np.concatenate([[0], np.cumsum(sizes[back])]), columns[entries(there, back)]


def distinct(total: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return ``count`` distinct whole numbers below ``total``, sorted, every choice equally probable; O(count) memory.

    Numbers drawn with repetition, without the repeats, are by symmetry any set of their size with one
    probability; so are any ``count`` of them.
    """
    if 2 * count > total:
        kept = np.ones(total, dtype=bool)
        kept[distinct(total, total - count, rng)] = False
        return np.flatnonzero(kept)
    found = np.empty(0, dtype=np.int64)
    while len(found) < count:
        more = rng.integers(total, size=int(1.1 * (count - len(found))) + 10)
        found = np.unique(np.concatenate([found, more]))
    extra = rng.choice(len(found), size=len(found) - count, replace=False)
    return np.delete(found, extra)


def shuffled_values(
    old: NonZeros, pattern: tuple[np.ndarray, np.ndarray], strata: Strata, per: str, rng: np.random.Generator
) -> np.ndarray:
    """Return the values of a drawn pattern: those there were, in random order within each column, row or stratum."""
    from controls.generators._trade_kernels import columns_shuffled, shuffle_runs

    indptr, indices = pattern
    if per == "column":
        seeds = seeds_for(len(strata.bounds) - 1, rng)
        where = (strata.order, strata.bounds)
        return columns_shuffled(old.indptr, old.indices, old.values, (indptr, indices), where, seeds)
    if per == "row":
        values = np.array(old.values)
        shuffle_runs(values, old.indptr, seeds_for(old.n, rng))
        return values
    values, found = old.values[entries(old.indptr, strata.order)], np.empty_like(old.values)
    bounds = np.concatenate([[0], np.cumsum(old.per_row[strata.order])])[strata.bounds]
    shuffle_runs(values, bounds, seeds_for(len(bounds) - 1, rng))
    found[entries(indptr, strata.order)] = values
    return found


def resampled_values(
    old: NonZeros, pattern: tuple[np.ndarray, np.ndarray], strata: Strata, per: str, rng: np.random.Generator
) -> np.ndarray:
    """Return values for a pattern of other sizes: drawn with repetition from those of the column, row or stratum."""
    keys: Callable[[np.ndarray, np.ndarray], np.ndarray] = _keys(old, strata, per)
    of_old, of_new = keys(old.indptr, old.indices), keys(*pattern)
    order = np.argsort(of_old, kind="stable")
    of_old = of_old[order]
    low, high = (np.searchsorted(of_old, of_new, side=side) for side in ("left", "right"))
    return old.values[order[rng.integers(low, high)]]


def _keys(old: NonZeros, strata: Strata, per: str) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    stratum = np.empty(old.n, dtype=np.int64)
    stratum[strata.order] = np.repeat(np.arange(len(strata.bounds) - 1), np.diff(strata.bounds))

    def keys(indptr: np.ndarray, indices: np.ndarray) -> np.ndarray:
        rows = np.repeat(np.arange(old.n), np.diff(indptr))
        return {
            "row": lambda: rows,
            "all": lambda: stratum[rows],
            "column": lambda: stratum[rows] * old.d + indices,
        }[per]()

    return keys
