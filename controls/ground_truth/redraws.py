"""Redraws of a weight matrix: what is kept of it, and under which law of the weights a rank among redraws is exact.

A rank among redraws has its exact size only where the weights themselves were drawn by the law of the
redraws: sparse 0/1 weights are no draw from their own spectrum's ensemble, and are rejected there far
more often than alpha, although they were trained on nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from controls.core.errors import InputError
from controls.core.validate import random_generator
from controls.ground_truth.shapes import numbers


def redraw_gaussian(weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return independent normal weights of mean 0 and the same root mean square; nothing else is kept.

    Parameters
    ----------
    weights : array of shape (d, m)
    rng : numpy.random.Generator

    Returns
    -------
    array of shape (d, m)

    Notes
    -----
    Exact for weights that are independent and normal, where what is measured does not depend on their scale
    (ReLU without bias); otherwise as exact as their root mean square is known.

    Examples
    --------
    >>> drawn = redraw_gaussian(np.full((200, 50), -2.0), np.random.default_rng(0))
    >>> drawn.shape, round(float(np.sqrt(np.mean(drawn**2))), 1)
    ((200, 50), 2.0)
    """
    weights = _matrix(weights)
    return np.sqrt(np.mean(np.square(weights))) * random_generator(rng).standard_normal(weights.shape)


def redraw_spectrum(weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return weights with the same singular values, whose singular vectors are uniformly distributed.

    Parameters
    ----------
    weights : array of shape (d, m)
    rng : numpy.random.Generator

    Returns
    -------
    array of shape (d, m)

    Notes
    -----
    Exact for weights whose law no rotation of neurons or of inputs changes, such as independent normal
    ones. Costs O(d m min(d, m)).

    References
    ----------
    Mezzadri (2007), How to generate random matrices from the classical compact groups: without the
    signs of the diagonal of R, vectors are not uniform.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> weights = rng.standard_normal((5, 3))
    >>> drawn = redraw_spectrum(weights, rng)
    >>> bool(np.allclose(np.linalg.svd(drawn)[1], np.linalg.svd(weights)[1]))
    True
    """
    weights = _matrix(weights)
    lengths = np.linalg.svd(weights, compute_uv=False)
    left, right = (uniform_frame(size, len(lengths), random_generator(rng)) for size in weights.shape)
    return (left * lengths) @ right.T


def redraw_rows(weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return weights whose rows keep their values, in random order: each neuron looks at other inputs.

    Parameters
    ----------
    weights : array of shape (d, m)
        A row per neuron.
    rng : numpy.random.Generator

    Returns
    -------
    array of shape (d, m)

    Notes
    -----
    Exact where the weights of a neuron are exchangeable, and neurons independent: every layer with
    independent, identically distributed weights, normal or sparse. How many inputs a neuron sees is kept.

    Examples
    --------
    >>> drawn = redraw_rows(np.array([[1.0, 1.0, 0.0, 0.0]]), np.random.default_rng(0))
    >>> sorted(drawn[0].tolist())
    [0.0, 0.0, 1.0, 1.0]
    """
    return random_generator(rng).permuted(_matrix(weights), axis=1)


def uniform_frame(n: int, k: int, rng: np.random.Generator) -> np.ndarray:
    """Return k orthonormal vectors of length n, uniformly distributed (Haar), as columns (n, k)."""
    Q, R = np.linalg.qr(rng.standard_normal((n, k)))
    return Q * np.where(np.diagonal(R) < 0, -1.0, 1.0)


REDRAWS: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "gaussian": redraw_gaussian,
    "spectrum": redraw_spectrum,
    "rows": redraw_rows,
}


def _matrix(weights: np.ndarray) -> np.ndarray:
    array = numbers(weights, "weights")
    if array.ndim != 2 or not np.isfinite(array).all():
        raise InputError(f"weights must be a finite matrix (d neurons, m inputs), got shape {array.shape}.")
    return array
