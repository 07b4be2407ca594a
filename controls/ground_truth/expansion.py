"""A layer on independent inputs as a sum of centred products: exact answers however many inputs there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from controls.core.errors import InputError
from controls.ground_truth.population import explained

_MOST_SEEN = 16  # a neuron's inputs, of which all subsets are taken


def expanded_partial_r2(
    neurons: Sequence[tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]],
    rates: np.ndarray,
    concept_sets: Sequence[tuple[int, ...]],
    *,
    removed: Sequence[tuple[int, ...]] = (),
    tol: float = 1e-9,
    noise: float = 0.0,
) -> np.ndarray:
    """Return the partial R² of centred products of independent inputs, given the inputs, exactly.

    Parameters
    ----------
    neurons : sequence of (seen, function)
        Of each neuron the positions of the inputs that it sees, shape (k,), at most 16, and what it
        makes of them: ``function(on) -> (N,)`` of an (N, k) array of 0 and 1.
    rates : array of shape (m,)
        How often each input is on.
    concept_sets : sequence of tuple of int
        Sets of at least two inputs each.
    removed : sequence of tuple of int
        Sets whose centred products are removed from the layer too, beside the inputs.
    tol, noise : float
        As in ``partial_r2``.

    Returns
    -------
    array, one number per concept set

    Notes
    -----
    Standardised products of independent inputs are orthonormal, so a neuron is a vector of
    coefficients over the subsets of what it sees (its ANOVA decomposition). Those over two or more
    inputs are what is left once the inputs are removed. Costs O(Σ 2^k k) and one singular value
    decomposition of the coefficients.
    """
    parts = [_coefficients(seen, function, rates) for seen, function in neurons]
    names = np.concatenate([name for name, _ in parts])
    columns, place = np.unique(names, return_inverse=True)
    C = np.zeros((len(columns), len(neurons)))
    C[place.ravel(), np.repeat(np.arange(len(parts)), [len(name) for name, _ in parts])] = np.concatenate(
        [values for _, values in parts]
    )
    wanted = np.array([_name(concepts) for concepts in concept_sets], dtype=columns.dtype)
    T = (columns[:, None] == wanted).astype(np.float64)
    gone = {_name(concepts) for concepts in removed}
    left = np.array([int(name).bit_count() > 1 and int(name) not in gone for name in columns])
    return explained(C[left], T[left], tol * float(np.linalg.norm(C)), noise)


def _name(concepts: tuple[int, ...]) -> int:
    return sum(1 << place for place in concepts)


def _coefficients(
    seen: np.ndarray, function: Callable[[np.ndarray], np.ndarray], rates: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the subsets that a neuron sees, as sums of powers of two, and its coefficient on each, both (2^k,)."""
    k = len(seen)
    if k > _MOST_SEEN:
        raise InputError(
            f"Exact answers need neurons that see at most {_MOST_SEEN} inputs, got one that sees {k}; "
            "take fewer inputs, or estimate from a sample."
        )
    on = (np.arange(1 << k)[:, None] >> np.arange(k)[::-1] & 1).astype(np.float64)
    values = np.asarray(function(on), dtype=np.float64).reshape((2,) * k)
    for axis, rate in enumerate(rates[seen]):
        spread = np.sqrt(rate * (1 - rate))
        off_value, on_value = np.take(values, 0, axis), np.take(values, 1, axis)
        values = np.stack([(1 - rate) * off_value + rate * on_value, spread * (on_value - off_value)], axis)
    kind = np.int64 if len(rates) < 63 else object  # above, Python's own whole numbers
    powers = np.array([1 << int(position) for position in seen], dtype=kind)
    return on.astype(np.int64).astype(kind) @ powers, values.ravel()
