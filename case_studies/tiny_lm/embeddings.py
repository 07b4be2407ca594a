"""Random token embeddings: Gaussian rows, and Gaussian rows of which no two are near."""

from __future__ import annotations

import numpy as np

import controls as ct

_PROPOSED = 512  # rows drawn in one go
_TRIES = 20_000_000  # rows drawn in all before a bound counts as out of reach


def welch_bound(rows: int, width: int) -> float:
    """Return what the largest absolute cosine among rows cannot fall below (Welch 1974).

    Examples
    --------
    >>> round(welch_bound(1024, 128), 4)
    0.0827
    """
    return max(0.0, (rows - width) / (width * (rows - 1))) ** 0.5


def bounded_rows(rows: int, width: int, bound: float, rng: np.random.Generator) -> np.ndarray:
    """Return standard Gaussian rows, each drawn again until its cosines with the rows before are small.

    Parameters
    ----------
    rows, width : int
        The shape.
    bound : float
        Every |cosine| of two rows is below it.
    rng : numpy.random.Generator

    Returns
    -------
    array of shape (rows, width), float64

    Raises
    ------
    InputError
        If the bound is not above the Welch bound, or was not reached.

    Notes
    -----
    The last row is accepted with probability about exp(-rows * P(|cosine| >= bound)): a bound of
    .25 for 1024 rows of 128 takes about 20 thousand draws, a quarter of a second; .235 fifteen times as many.

    Examples
    --------
    >>> found = bounded_rows(40, 8, 0.8, np.random.default_rng(0))
    >>> largest_cosine(found) < 0.8
    True
    """
    lowest = welch_bound(rows, width)
    if not bound > lowest:
        raise ct.InputError(
            f"bound must be above {lowest:.3f}, which no {rows} rows of {width} go below, got {bound:g}; raise it."
        )
    kept, units = np.empty((rows, width)), np.empty((rows, width))
    have = 0
    for _ in range(0, _TRIES, _PROPOSED):
        drawn = rng.standard_normal((_PROPOSED, width))
        unit = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
        for i in np.flatnonzero((np.abs(unit @ units[:have].T) < bound).all(axis=1)):
            if have < rows and (np.abs(units[:have] @ unit[i]) < bound).all():
                kept[have], units[have] = drawn[i], unit[i]
                have += 1
        if have == rows:
            return kept
    raise ct.InputError(f"bound {bound:g} is out of reach: {have} of {rows} rows after {_TRIES} draws; raise it.")


def largest_cosine(rows: np.ndarray) -> float:
    """Return the largest absolute cosine between two different rows.

    Examples
    --------
    >>> largest_cosine(np.array([[2.0, 0.0], [0.0, 1.0], [-3.0, 4.0]]))
    0.8
    """
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    cosines = np.abs(units @ units.T)
    np.fill_diagonal(cosines, 0)
    return float(cosines.max())
