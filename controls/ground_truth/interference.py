"""What inputs in superposition do to neurons that count some of them: the law of interference, and of its bias."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from scipy.special import comb, ndtr

from controls.core.errors import InputError
from controls.core.validate import one_of, whole_number
from controls.ground_truth.shapes import numbers, shaped


@final
@dataclass(frozen=True)
class Gate:
    """How a neuron that counts z of its inputs says that there are two: ``activation(scale · z + bias)``.

    ``steps`` write the same as a sum of ReLUs of that, each with its sign and what is taken off before.
    """

    scale: float
    bias: float
    activation: str
    steps: tuple[tuple[float, float], ...]


GATES = {
    "relu": Gate(1.0, -1.0, "relu", ((1.0, 0.0),)),
    "margin": Gate(2.0, -3.0, "relu", ((1.0, 0.0),)),
    "clipped": Gate(2.0, -2.5, "clipped", ((1.0, 0.0), (-1.0, 1.0))),
}
"""ReLU(z − 1); ReLU(2z − 3), which one input must exceed by half; ReLU(2z − 5/2) − ReLU(2z − 7/2), cut at 1 too."""


_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(15)


def interference_sd(receptive: np.ndarray, X: np.ndarray, d0: int) -> np.ndarray:
    """Return the standard deviation, over embeddings, of what interference adds to each neuron's count.

    Parameters
    ----------
    receptive : array of shape (d, m)
        1 where a neuron counts an input, 0 elsewhere.
    X : array of shape (n, m)
        Bits.
    d0 : int
        Dimensions of the embedding, whose directions are independent and uniform.

    Returns
    -------
    array of shape (n, d)
        With s active inputs, N inputs that the neuron counts and T that are both, the square root of
        ``(s N + T² − 2 T) / d0``: exact, the mean being 0. About ``s N / d0`` where inputs are many.

    Examples
    --------
    >>> interference_sd(np.ones((1, 2)), np.array([[1, 0], [1, 1]]), d0=100).round(3)
    array([[0.1],
           [0.2]])
    """
    whole_number(d0, "d0", low=1)
    receptive = shaped(receptive, "receptive", ("d", "m"))
    X = shaped(X, "X", ("n", receptive.shape[1]))
    s, N, T = X.sum(axis=1)[:, None], receptive.sum(axis=1), X @ receptive.T
    return np.sqrt((s * N + T**2 - 2 * T) / d0)


def gated_mean(count: np.ndarray, sd: np.ndarray, gate: Gate) -> np.ndarray:
    """Return the expected value of a gate, where interference is normal with this standard deviation."""
    z, spread = gate.scale * count + gate.bias, gate.scale * sd
    return np.sum([sign * _rectified(z - off, spread) for sign, off in gate.steps], axis=0)


def _rectified(centre: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Return E ReLU(centre + spread · g), g standard normal."""
    spread = np.maximum(spread, 1e-12)
    t = centre / spread
    return centre * ndtr(t) + spread * np.exp(-(t**2) / 2) / np.sqrt(2 * np.pi)


def counting_bias(case: str, counts: np.ndarray, *, m: int, s: int, d0: int, gate: str = "relu") -> np.ndarray:
    """Return the expected error of neurons that count both inputs of a pair, over inputs and embeddings.

    Parameters
    ----------
    case : {"00", "10", "11"}
        Which inputs of the pair are active.
    counts : array of int, any shape
        How many inputs each neuron counts, the pair's included.
    m, s, d0 : int
        Numbers of inputs, of active ones, of dimensions of the embedding.
    gate : {"relu", "margin", "clipped"}

    Returns
    -------
    array shaped as ``counts``
        In case 10 of "relu", with N inputs per neuron, about ``σ/√(2π) + (s − 1)(N − 2)/m``, where σ² = s N / d0.

    Notes
    -----
    Exact up to small terms of order 1/d0. Overlaps among active inputs add to the count and, at the same time,
    lengthen what the layer reads, by which overlaps with all other inputs are multiplied; so they are integrated
    over, and the rest is normal.

    Examples
    --------
    >>> float(counting_bias("10", 22, m=512, s=2, d0=256).round(3))
    0.196
    """
    active = one_of(case, "case", ("00", "10", "11")).count("1")
    one_of(gate, "gate", tuple(GATES))
    whole_number(d0, "d0", low=1)
    if not max(active, 1) <= whole_number(s, "s", low=1) <= whole_number(m, "m", low=2):
        raise InputError(f"s must lie between {max(active, 1)} and m = {m}, got {s}.")
    counts = numbers(counts, "counts")[..., None]
    if not np.isfinite(counts).all() or not ((counts % 1 == 0) & (counts >= 2) & (counts <= m)).all():
        raise InputError(f"counts must be whole numbers from 2, the pair itself, to m = {m}.")
    others = np.arange(s - active + 1)
    rates = comb(counts - 2, others) * comb(m - counts, s - active - others) / comb(m - 2, s - active)
    seen = active + others
    return (rates * _expected(seen, counts, s, d0, GATES[gate])).sum(axis=-1) - (active == 2)


def _expected(seen: np.ndarray, counts: np.ndarray, s: int, d0: int, gate: Gate) -> np.ndarray:
    """Return the expected value of a gate that counts so many inputs, ``seen`` of which are active."""
    own = (s * seen + seen**2 - 2 * seen) / d0  # variance of the overlaps among active inputs, in the count
    shared = 2 * seen * (s - 1) / d0  # their covariance with the squared length of what is read
    slope = np.divide(shared, own, out=np.zeros_like(own), where=own > 0)
    value = np.zeros(np.broadcast_shapes(seen.shape, counts.shape))
    for node, weight in zip(_NODES, _WEIGHTS / _WEIGHTS.sum(), strict=True):
        overlap = np.sqrt(own) * node
        square = np.maximum(s + slope * overlap, 0.0) * np.maximum(counts - seen, 0) / d0
        value += weight * gated_mean(seen + overlap, np.sqrt(square), gate)
    return value
