"""Lempel–Ziv complexity of binary strings: how many words it takes to say them."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np


def lempel_ziv(tables: np.ndarray) -> np.ndarray:
    """Return the complexity of binary strings: log2(L) times the words of their parsing, averaged over both directions.

    Parameters
    ----------
    tables : array of shape (k, L), bool
        The strings, such as the outputs of k Boolean functions on all inputs, in order.

    Returns
    -------
    array of shape (k,)
        Strings of one symbol have log2(L). Random ones have somewhat more than L (1.16 L of L = 128).

    Notes
    -----
    Words are those of Lempel and Ziv (1976): each is the shortest that does not begin anywhere earlier. The
    average over directions and the rule for constant strings are those of Dingle, Camargo and Louis (2018),
    Input–output maps are strongly biased towards simple outputs, Nature Communications 9. It is an estimate of
    complexity from above, whose value for short strings hangs on the order of inputs. O(k L²) at worst.

    Examples
    --------
    >>> lempel_ziv(np.array([[0, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 1, 1, 0, 1, 0]], dtype=bool)).tolist()
    [3.0, 13.5]
    """
    tables = np.ascontiguousarray(tables, dtype=np.bool_)
    length = tables.shape[1]
    words = (_kernel()(tables) + _kernel()(np.ascontiguousarray(tables[:, ::-1]))) / 2
    constant = (tables == tables[:, :1]).all(axis=1)
    return np.log2(length) * np.where(constant, 1.0, words)


@cache
def _kernel() -> Any:
    import numba

    @numba.njit(nogil=True)
    def words(tables: np.ndarray) -> np.ndarray:
        """Return the number of words of each string, the last one counted also where it is cut short."""
        count, length = tables.shape
        found = np.empty(count, dtype=np.float64)
        for row in range(count):
            total, start = 0, 0
            while start < length:
                longest = 0  # of what begins earlier and agrees with what begins here; they may overlap
                for earlier in range(start):
                    same = 0
                    while start + same < length and tables[row, earlier + same] == tables[row, start + same]:
                        same += 1
                    longest = max(longest, same)
                start += longest + 1
                total += 1
            found[row] = total
        return found

    return words
