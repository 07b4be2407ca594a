"""Random numbers in compiled code: a state of 64 bits for each piece of work, so that neither order nor threads matter.

Importing this file loads numba: kernels are imported where the first draw is made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np


def compiled(function: Callable[..., Any]) -> Any:
    """Compile a function that releases the interpreter's lock; the code is kept on disk where that is allowed."""
    try:
        return numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # a read-only installation without a cache folder
        return numba.njit(nogil=True)(function)


@compiled
def next_bits(state: np.ndarray) -> Any:
    """Return 64 random bits and move the state (1,) on: splitmix64 (Steele, Lea and Flood 2014)."""
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    z = state[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@compiled
def below(state: np.ndarray, n: int) -> int:
    """Return a whole number, exactly uniform over 0 … n−1 with n under 2^32; the state moves on.

    By multiplication, and rejection of the few products that would make some numbers more probable (Lemire 2019).
    """
    if n == 1:
        return 0
    size = np.uint64(n)
    product = (next_bits(state) >> np.uint64(32)) * size
    low = product & np.uint64(0xFFFFFFFF)
    if low < size:
        least = (np.uint64(1 << 32) - size) % size
        while low < least:
            product = (next_bits(state) >> np.uint64(32)) * size
            low = product & np.uint64(0xFFFFFFFF)
    return np.int64(product >> np.uint64(32))  # type: ignore[return-value]
