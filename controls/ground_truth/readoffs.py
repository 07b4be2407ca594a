"""Readoffs of AND and XOR from a random Gaussian layer, in closed form, with the exact law of their error."""

from __future__ import annotations

from collections.abc import Callable
from math import asin, pi, sqrt

import numpy as np

from controls.core.errors import InputError
from controls.core.validate import one_of, whole_number
from controls.ground_truth.shapes import numbers
from controls.ground_truth.u_and import ErrorLaw

CASES = ("00", "10", "11")
_ASKS = ("and", "xor")
_TARGETS = {"and": {"00": 0.0, "10": 0.0, "11": 1.0}, "xor": {"00": 0.0, "10": 1.0, "11": 0.0}}


def sign_gain(s: int) -> float:
    """Return K(s), what the product of two signs sees of their interaction among s active inputs.

    Parameters
    ----------
    s : int
        Number of active inputs (the compositeness), at least 2.

    Returns
    -------
    float
        ``√(2π) · E[sign(w_i) sign(w_j) ReLU(w·x)]`` for x with s ones, i and j among them:
        ``(2/π)(2 asin(1/√(s−1)) − √s asin(1/(s−1)))``, about ``2/(π√s)`` where s is large.

    Notes
    -----
    From the moments of the truncated normal distribution of Tallis (1961).

    Examples
    --------
    >>> [round(sign_gain(s), 4) for s in (2, 3, 10)]
    [0.5858, 0.4226, 0.2085]
    """
    s = whole_number(s, "s", low=2)
    return 2 / pi * (2 * asin(1 / sqrt(s - 1)) - sqrt(s) * asin(1 / (s - 1)))


def sign_readoff(wi: np.ndarray, wj: np.ndarray, s: int, ask: str = "and") -> np.ndarray:
    """Return the readoff that looks at signs of weights alone.

    Parameters
    ----------
    wi, wj : array of shape (..., d)
        The layer's weights from inputs i and j.
    s : int
        Number of active inputs that the readoff is made for, at least 2.
    ask : {"and", "xor"}
        The question.

    Returns
    -------
    array of shape (..., d)
        A vector r such that ``r @ hidden`` is right on average over layers ``ReLU(W x)`` of standard normal
        weights. Of all functions of the two signs it is the only one for AND (or XOR) in all four cases.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> W = rng.standard_normal((100_000, 3))
    >>> hidden = np.maximum(W @ [1.0, 1.0, 1.0], 0)
    >>> bool(abs(sign_readoff(W[:, 0], W[:, 1], s=3) @ hidden - 1) < 0.1)
    True
    """
    single, double = _sign_coefficients(s, one_of(ask, "ask", _ASKS))
    wi, wj = _weights(wi, wj)
    ei, ej = np.sign(wi), np.sign(wj)
    return (single * (ei + ej) + double * ei * ej) / np.shape(wi)[-1]


def stein_readoff(wi: np.ndarray, wj: np.ndarray, s: int, ask: str = "and") -> np.ndarray:
    """Return the readoff along products of weights.

    Parameters
    ----------
    wi, wj : array of shape (..., d)
        The layer's weights from inputs i and j.
    s : int
        Number of active inputs that the readoff is made for, at least 2.
    ask : {"and", "xor"}
        The question.

    Returns
    -------
    array of shape (..., d)
        A vector r such that ``r @ hidden`` is right on average over layers ``ReLU(W x)`` of standard normal
        weights. On zeros of AND its error is smaller than the sign readoff's: by 17% at s = 2, 36% where s is large.

    Notes
    -----
    ``E[w_i w_j ReLU(w·x)] = x_i x_j / (√(2π) |x|)``, by Stein's lemma, twice.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> W = rng.standard_normal((100_000, 3))
    >>> hidden = np.maximum(W @ [1.0, 0.0, 1.0], 0)
    >>> bool(abs(stein_readoff(W[:, 0], W[:, 1], s=2, ask="xor") @ hidden - 1) < 0.1)
    True
    """
    s, (wi, wj) = whole_number(s, "s", low=2), _weights(wi, wj)
    product = sqrt(2 * pi * s) * wi * wj
    readoff = product if one_of(ask, "ask", _ASKS) == "and" else 2 * (wi + wj) - 2 * product
    return readoff / np.shape(wi)[-1]


def _weights(wi: np.ndarray, wj: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights from two inputs, of one shape (..., d)."""
    wi, wj = numbers(wi, "wi"), numbers(wj, "wj")
    if wi.shape != wj.shape or wi.ndim == 0:
        raise InputError(f"wi and wj must have one shape (..., d), got {wi.shape} and {wj.shape}.")
    return wi, wj


def _sign_coefficients(s: int, ask: str) -> tuple[float, float]:
    """Return what multiplies the sum of the two signs, and their product."""
    double = sqrt(2 * pi) / sign_gain(s)
    return (0.0, double) if ask == "and" else (sqrt(2 * pi), -2 * double)


def readoff_law(case: str, s: int, *, ask: str = "and", method: str = "sign", tuned: int | None = None) -> ErrorLaw:
    """Return mean and variance of what a closed-form readoff errs by, over layers of standard normal weights.

    Parameters
    ----------
    case : {"00", "10", "11"}
        Which of the two inputs are active.
    s : int
        Number of active inputs, the pair's included.
    ask : {"and", "xor"}
        The question.
    method : {"sign", "stein"}
        `sign_readoff` or `stein_readoff`.
    tuned : int, optional
        Number of active inputs that the readoff was made for (default: s).

    Returns
    -------
    ErrorLaw
        Exact at every width d, ``law.sd(d)``, since neurons are independent.

    Examples
    --------
    >>> [float(readoff_law("10", 3, method=method).sd(1).round(2)) for method in ("sign", "stein")]
    [7.26, 6.86]
    >>> round(readoff_law("11", 2, tuned=3).mean, 3)  # where two inputs are active, three being expected
    0.386
    """
    case = one_of(case, "case", CASES)
    active = case.count("1")
    s = whole_number(s, "s", low=active)
    law = _METHODS[one_of(method, "method", tuple(_METHODS))]
    mean, square = law(active, s, max(s, 2) if tuned is None else tuned, one_of(ask, "ask", _ASKS))
    return ErrorLaw(mean - _TARGETS[ask][case], square - mean**2)


def _sign_moments(active: int, s: int, tuned: int, ask: str) -> tuple[float, float]:
    """Return first and second moment of one neuron's part, times 1 and d, of the sign readoff."""
    single, double = _sign_coefficients(tuned, ask)
    mean = active * single / sqrt(2 * pi) + (double * sign_gain(s) / sqrt(2 * pi) if active == 2 else 0.0)
    square = (2 * single**2 + double**2) * s / 2
    if active:  # a sign of the pair goes with the neuron's value
        along = asin(1 / sqrt(s)) + sqrt(s - 1) / s
        square += 2 * single * double * active * s / pi * along
    if active == 2:
        square += 2 * single**2 * 2 / pi
    return mean, square


def _stein_moments(active: int, s: int, tuned: int, ask: str) -> tuple[float, float]:
    """Return first and second moment of one neuron's part, times 1 and d, of the Stein readoff."""
    gain = sqrt(2 * pi * whole_number(tuned, "tuned", low=2))
    product = gain / sqrt(2 * pi * s) if active == 2 else 0.0
    square = gain**2 * (s + 2 * active) / 2
    if ask == "and":
        return product, square
    linear = 4 * (s + (0, 1, 4)[active])
    mixed = active * 2 * sqrt(2 * s / pi) + (8 / sqrt(2 * pi * s) if active == 2 else 0.0)
    return active - 2 * product, linear + 4 * square - 4 * gain * mixed


_METHODS: dict[str, Callable[[int, int, int, str], tuple[float, float]]] = {
    "sign": _sign_moments,
    "stein": _stein_moments,
}


def readoff(wi: np.ndarray, wj: np.ndarray, s: int, *, ask: str = "and", method: str = "sign") -> np.ndarray:
    """Return the readoff of a method by its name: `sign_readoff` or `stein_readoff`."""
    made = sign_readoff if one_of(method, "method", tuple(_METHODS)) == "sign" else stein_readoff
    return made(wi, wj, s, ask)
