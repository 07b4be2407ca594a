"""Compiled kernels for 0/1 matrices by rows (CSR): trades between rows, random subsets, values put back.

Importing this file loads numba. Every pair of rows, row or column has a 64-bit seed of its own, so that results
do not hang on the order of the work.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from controls.generators._random_kernels import below, compiled


@compiled
def trade_pairs(indptr: np.ndarray, indices: np.ndarray, order: np.ndarray, firsts: np.ndarray, seeds: np.ndarray):
    """Let pairs of rows trade, in place: what only one of two rows has is shared out anew, each keeping its number.

    Parameters
    ----------
    indptr, indices : arrays
        Of a CSR matrix; columns sorted within rows, and sorted afterwards.
    order : array of shape (n,)
        Rows in random order; ``order[firsts[i]]`` trades with the row that follows it there.
    firsts : array
    seeds : array of uint64, one for each pair

    Notes
    -----
    The columns that one of the two has are walked in order, and each goes to the first row with the probability
    that makes every choice of so many equally probable: no sorting, and no-ops happen as often as they should.
    Cost: O(non-zeros of the rows).
    """
    longest = 0
    for row in range(len(indptr) - 1):
        longest = max(longest, indptr[row + 1] - indptr[row])
    one, other = np.empty(longest, indices.dtype), np.empty(longest, indices.dtype)
    state = np.empty(1, np.uint64)
    for pair in range(len(firsts)):
        a, b = order[firsts[pair]], order[firsts[pair] + 1]
        at_a, at_b = indptr[a], indptr[b]
        size_a, size_b = indptr[a + 1] - at_a, indptr[b + 1] - at_b
        both = _count_shared(indices, at_a, size_a, at_b, size_b)
        wanted, left = size_a - both, size_a + size_b - 2 * both
        if wanted == 0 or wanted == left:
            continue
        one[:size_a] = indices[at_a : at_a + size_a]
        other[:size_b] = indices[at_b : at_b + size_b]
        state[0] = seeds[pair]
        i = j = 0
        while i < size_a or j < size_b:
            if i < size_a and j < size_b and one[i] == other[j]:
                indices[at_a], indices[at_b] = one[i], one[i]
                at_a, at_b, i, j = at_a + 1, at_b + 1, i + 1, j + 1
                continue
            if j == size_b or (i < size_a and one[i] < other[j]):
                column = one[i]
                i += 1
            else:
                column = other[j]
                j += 1
            if below(state, left) < wanted:
                indices[at_a] = column
                at_a += 1
                wanted -= 1
            else:
                indices[at_b] = column
                at_b += 1
            left -= 1


@compiled
def _count_shared(indices: np.ndarray, at_a: Any, size_a: Any, at_b: Any, size_b: Any) -> int:
    i = j = shared = 0
    while i < size_a and j < size_b:
        first, second = indices[at_a + i], indices[at_b + j]
        shared += first == second
        i += first <= second
        j += second <= first
    return shared


@compiled
def overlap(indptr: np.ndarray, indices: np.ndarray, other: np.ndarray) -> int:
    """Return how many non-zeros two matrices with the same numbers per row share."""
    shared = 0
    for row in range(len(indptr) - 1):
        start, size = indptr[row], indptr[row + 1] - indptr[row]
        i = j = 0
        while i < size and j < size:
            first, second = indices[start + i], other[start + j]
            shared += first == second
            i += first <= second
            j += second <= first
    return shared


@compiled
def choose(indptr: np.ndarray, n: int, seeds: np.ndarray) -> np.ndarray:
    """Return sorted distinct numbers below n for every row, as many as ``indptr`` has room for (Floyd's sampling)."""
    chosen = np.empty(indptr[-1], np.int32)
    seen = np.full(n, -1, np.int64)
    state = np.empty(1, np.uint64)
    for row in range(len(indptr) - 1):
        start, stop = indptr[row], indptr[row + 1]
        state[0] = seeds[row]
        for i in range(stop - start):
            last = n - (stop - start) + i
            number = below(state, last + 1)
            if seen[number] == row:
                number = last
            seen[number] = row
            chosen[start + i] = number
        chosen[start:stop] = np.sort(chosen[start:stop])
    return chosen


@compiled
def shuffle_runs(values: np.ndarray, bounds: np.ndarray, seeds: np.ndarray):
    """Shuffle each run ``values[bounds[i]:bounds[i + 1]]``, in place (Fisher and Yates)."""
    state = np.empty(1, np.uint64)
    for run in range(len(bounds) - 1):
        state[0] = seeds[run]
        for i in range(bounds[run + 1] - 1, bounds[run], -1):
            j = bounds[run] + below(state, i - bounds[run] + 1)
            values[i], values[j] = values[j], values[i]


@compiled
def columns_shuffled(
    indptr: np.ndarray, indices: np.ndarray, values: np.ndarray, drawn: tuple, strata: tuple, seeds: np.ndarray
) -> np.ndarray:
    """Return the values of drawn non-zeros: those of each column, within each stratum of rows, in random order.

    Parameters
    ----------
    indptr, indices, values : arrays
        The matrix that was there.
    drawn : (indptr, indices)
        The drawn one, with as many non-zeros in every column of every stratum.
    strata : (order, bounds)
        Stratum s has the rows ``order[bounds[s]:bounds[s + 1]]``.
    seeds : array of uint64, one for each stratum
    """
    new_indptr, new_indices = drawn
    order, bounds = strata
    n_columns = 0
    for column in indices:
        n_columns = max(n_columns, column + 1)
    found, held = np.empty_like(values), np.empty_like(values)
    last_seen = np.full(n_columns, -1, np.int64)
    starts, counts = np.zeros(n_columns, np.int64), np.zeros(n_columns, np.int64)
    state = np.empty(1, np.uint64)
    for stratum in range(len(bounds) - 1):
        rows = order[bounds[stratum] : bounds[stratum + 1]]
        state[0] = seeds[stratum]
        _column_starts(indptr, indices, rows, (last_seen, starts, counts), stratum)
        for row in rows:
            for at in range(indptr[row], indptr[row + 1]):
                column = indices[at]
                place = starts[column] + counts[column]
                swap = starts[column] + below(state, counts[column] + 1)  # shuffled as it is filled
                held[place] = held[swap]
                held[swap] = values[at]
                counts[column] += 1
        for row in rows:
            for at in range(new_indptr[row], new_indptr[row + 1]):
                column = new_indices[at]
                counts[column] -= 1
                found[at] = held[starts[column] + counts[column]]
    return found


@compiled
def _column_starts(indptr: np.ndarray, indices: np.ndarray, rows: np.ndarray, columns: tuple, stratum: int):
    """Give each column that the rows have a place for as many values as it has there; counts are 0 afterwards."""
    last_seen, starts, counts = columns
    for row in rows:
        for at in range(indptr[row], indptr[row + 1]):
            column = indices[at]
            if last_seen[column] != stratum:
                last_seen[column] = stratum
                counts[column] = 0
            counts[column] += 1
    total = 0
    for row in rows:
        for at in range(indptr[row], indptr[row + 1]):
            column = indices[at]
            if counts[column] > 0:
                starts[column] = total
                total += counts[column]
                counts[column] = 0
