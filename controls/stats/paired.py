"""The paired randomisation test: two scores on the same units, which may trade places unit by unit."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np

from controls.stats.pvalue import PValues, p_values

_CHUNK = 256  # random swaps at a time


@dataclass(frozen=True, eq=False)
class Swaps:
    """Summed differences of k pairs, as they are and with units' signs swapped."""

    observed: np.ndarray  # (k,)
    swapped: np.ndarray  # (k, B); all 2^G of them, the identity included, where enumerated
    enumerated: bool


def swap(differences: np.ndarray, draws: int, rng: np.random.Generator) -> Swaps:
    """Sum differences over units, with the signs of any of them swapped.

    Parameters
    ----------
    differences : array of shape (G, k)
        What each unit adds to one score minus what it adds to the other, for k pairs of scores.
        Every swap is made in all pairs at once.
    draws : int
        All 2^G swaps are made where they number at most ``draws + 1``; else ``draws`` random ones.
    rng : numpy.random.Generator

    Notes
    -----
    O(draws · G · k) time; memory for 256 swaps of G units at a time.
    """
    observed = differences.sum(axis=0)
    n_units = len(differences)
    if n_units < 64 and 2**n_units <= draws + 1:
        signs = np.array(list(itertools.product([1.0, -1.0], repeat=n_units)))
        return Swaps(observed, differences.T @ signs.T, True)
    parts = []
    for start in range(0, draws, _CHUNK):
        flips = rng.integers(2, size=(min(_CHUNK, draws - start), n_units))
        parts.append(differences.T @ (1.0 - 2.0 * flips).T)
    return Swaps(observed, np.concatenate(parts, axis=1), False)


def paired_p_values(differences: np.ndarray, draws: int, rng: np.random.Generator, *, tolerance: float) -> PValues:
    """Return the p-values of a paired randomisation test of one pair of scores.

    Null hypothesis: for each unit by itself it makes no difference which of the two scores it is
    given by, so that the differences may change their signs, any subset of them. The test is exact
    for differences that are independent of one another, and symmetric about zero, over units. It
    is one-sided.

    Parameters
    ----------
    differences : array of shape (G,)
        What each unit adds to the one score minus what it adds to the other.
    draws : int
        See :func:`swap`.
    rng : numpy.random.Generator
    tolerance : float
        Sums closer than this are ties, and ties count.

    Returns
    -------
    PValues
        ``floor`` is max(1 / (draws + 1), 1 / 2^m) for m units with a difference.

    References
    ----------
    Fisher (1935), The Design of Experiments, section 21.
    Edgington and Onghena (2007), Randomization Tests, chapter 5.

    Examples
    --------
    >>> import numpy as np
    >>> paired_p_values(np.array([0.1, 0.2, 0.3]), 99, np.random.default_rng(0), tolerance=1e-9).upper
    0.125
    """
    made = swap(differences[:, None], draws, rng)
    moving = int((np.abs(differences) > tolerance / max(1, len(differences))).sum())
    found = p_values(
        float(made.observed[0]),
        made.swapped[0],
        tolerance=tolerance,
        enumerated=made.enumerated,
        log_relabelings=moving * math.log(2.0),
    )
    if made.enumerated:
        return replace(found, floor=max(found.floor, 2.0**-moving))
    return found
