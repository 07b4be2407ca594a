"""Exact answers: what a linear readout can know of an interaction, over the whole population of inputs."""

from __future__ import annotations

import numpy as np

from controls.core.errors import InputError
from controls.core.validate import real_number
from controls.ground_truth.bits import check_concepts
from controls.ground_truth.shapes import numbers, shaped


def partial_r2(
    H: np.ndarray,
    T: np.ndarray,
    probabilities: np.ndarray,
    nuisance: np.ndarray | None = None,
    *,
    tol: float = 1e-9,
    noise: float = 0.0,
) -> np.ndarray:
    """Return the share of the variance of each target that is linear in H, once nuisances are removed from both.

    Parameters
    ----------
    H : array of shape (N, d)
        What is read, for each of the N distinct inputs.
    T : array of shape (N, k) or (N,)
        Targets.
    probabilities : array of shape (N,)
        How likely each input is.
    nuisance : array of shape (N, j), optional
        What is removed from H and T beside the constant, such as the inputs themselves.
    tol : float, default 1e-9
        Directions of H shorter than this times the length of H do not count (dead and duplicate
        neurons); a target of which no larger share is left has no answer.
    noise : float, default 0.0
        Standard deviation of independent noise on each column of H.

    Returns
    -------
    array of shape (k,)
        Between 0 and 1; NaN where the nuisances leave nothing of a target.

    Notes
    -----
    Costs one singular value decomposition of H, O(N d min(N, d)).

    Examples
    --------
    >>> from controls.ground_truth import Bernoulli, combine
    >>> X, probabilities = Bernoulli(4, q=0.2).enumerate()
    >>> both = combine(X, (0, 1), "and")
    >>> partial_r2(X, both, probabilities).round(3)  # 2q/(1 + q): the AND looks readable from its inputs
    array([0.333])
    >>> bool(partial_r2(X, both, probabilities, X[:, :2])[0] < 1e-20)  # the interaction is not
    True
    """
    H = shaped(H, "H", ("N", "d"))
    T = shaped(T, "T", (len(H),) if np.ndim(T) == 1 else (len(H), "k")).reshape(len(H), -1)
    probabilities = shaped(probabilities, "probabilities", (len(H),))
    if probabilities.min() < 0 or not probabilities.any():
        raise InputError("probabilities must be at least 0, and one of them above.")
    if nuisance is not None:
        nuisance = shaped(nuisance, "nuisance", (len(H), "j")) if np.size(nuisance) else None
    real_number(tol, "tol", low=0, high=1)
    real_number(noise, "noise", low=0, high=np.inf, open_ends=False)
    weights = np.sqrt(probabilities)[:, None]
    constant = np.ones((len(H), 1))
    base = weights * (constant if nuisance is None else np.hstack([constant, np.asarray(nuisance, dtype=np.float64)]))
    removed, _ = _basis(base, tol * float(np.linalg.norm(base)))
    H, T = weights * H, weights * T
    kept_H, kept_T = (A - removed @ (removed.T @ A) for A in (H, T))
    left, whole = np.square(kept_T).sum(axis=0), np.square(T).sum(axis=0)
    answered = left > tol**2 * whole
    read = explained(kept_H, kept_T, tol * float(np.linalg.norm(H)), noise)
    return np.where(answered, read / np.where(answered, left, 1.0), np.nan)


def explained(H: np.ndarray, T: np.ndarray, shortest: float, noise: float) -> np.ndarray:
    """Return how much of each squared column of T is linear in H, shape (k,); shorter directions do not count."""
    basis, lengths = _basis(H, shortest)
    shrink = lengths**2 / (lengths**2 + noise**2)
    return (shrink[:, None] * np.square(basis.T @ T)).sum(axis=0)


def _basis(A: np.ndarray, shortest: float) -> tuple[np.ndarray, np.ndarray]:
    """Return an orthonormal basis of the columns of A, and how long A is along each of its vectors."""
    U, lengths, _ = np.linalg.svd(A, full_matrices=False)
    kept = lengths > shortest
    return U[:, kept], lengths[kept]


def null_certificate(weights: np.ndarray, concepts: tuple[int, ...]) -> bool:
    """Return whether no neuron sees all of the concepts, so that their centred product cannot be read.

    Parameters
    ----------
    weights : array of shape (d, m)
        A neuron sees the inputs of which its weight is not 0.
    concepts : tuple of int
        Positions of inputs.

    Returns
    -------
    bool
        True: under independent inputs the centred product of the concepts is orthogonal to every
        hidden function, whatever the width, the nonlinearity and the rates.

    Examples
    --------
    >>> weights = np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])
    >>> null_certificate(weights, (0, 1)), null_certificate(weights, (0, 2))
    (False, True)
    """
    weights = numbers(weights, "weights")
    if weights.ndim != 2:
        raise InputError(f"weights must have shape (d neurons, m inputs), got {weights.shape}.")
    places = list(check_concepts(concepts, weights.shape[1]))
    return not bool((weights[:, places] != 0).all(axis=1).any())
