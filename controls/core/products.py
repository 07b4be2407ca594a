"""Centred products of concepts, what is linear beneath them, and ranks: the arithmetic of interactions."""

from __future__ import annotations

from itertools import combinations

import numpy as np

TOLERANCE = 1e-9  # directions shorter than this share of the longest do not count


def centred_product(concepts: np.ndarray) -> np.ndarray:
    """Return the product over the last axis of the concepts (..., n, k), each less its mean: shape (..., n).

    Examples
    --------
    >>> centred_product(np.array([[0, 0], [0, 1], [1, 0], [1, 1]])).tolist()
    [0.25, -0.25, -0.25, 0.25]
    """
    return (concepts - concepts.mean(axis=-2, keepdims=True)).prod(axis=-1)


def lower_terms(concepts: np.ndarray) -> np.ndarray:
    """Return the constant, the concepts and their centred products of fewer than all k: shape (..., n, 2^k - 1)."""
    k = concepts.shape[-1]
    subsets = [list(subset) for size in range(1, k) for subset in combinations(range(k), size)]
    terms = [centred_product(concepts[..., subset]) for subset in subsets]
    return np.stack([np.ones(concepts.shape[:-1]), *terms], axis=-1)


def basis(A: np.ndarray, scale: np.ndarray, tolerance: float = TOLERANCE) -> tuple[np.ndarray, np.ndarray]:
    """Return an orthonormal basis of the columns of ``A`` (P, n, d), padded with zero columns, and the ranks (P,).

    A direction counts where its singular value is above ``tolerance`` times ``scale`` (P,).
    """
    Q, R = np.linalg.qr(A)
    left, spectrum, _ = np.linalg.svd(R, full_matrices=False)
    kept = spectrum > tolerance * scale[:, None]
    return Q @ (left * kept[:, None, :]), kept.sum(axis=1)


def basis_of_columns(Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the same of columns (P, n, m) of any units: each is brought to length 1 before, so that none is lost."""
    lengths = np.linalg.norm(Z, axis=1, keepdims=True)
    scaled = Z / np.where(lengths > 0, lengths, 1.0)
    return basis(scaled, np.linalg.norm(scaled, axis=(1, 2)))


def remove(Q: np.ndarray, A: np.ndarray) -> np.ndarray:
    """Return what an orthonormal basis (P, n, r) leaves of ``A`` (P, n, d)."""
    return A - Q @ (Q.transpose(0, 2, 1) @ A)


def residual_product(concepts: np.ndarray, nuisance: np.ndarray | None = None) -> np.ndarray:
    """Return what main effects, lower-order products and nuisance (n, m) leave of the centred product: shape (n,).

    Exactly 0 everywhere where nothing is left: a combination of concepts never occurs, a concept is constant.

    Examples
    --------
    >>> residual_product(np.array([[0, 0], [0, 1], [1, 0]])).tolist()
    [0.0, 0.0, 0.0]
    """
    t = centred_product(concepts)
    below = lower_terms(concepts)
    Q, _ = basis_of_columns((below if nuisance is None else np.hstack([below, nuisance]))[None])
    left = remove(Q, t[None, :, None])[0, :, 0]
    return left if np.linalg.norm(left) > 1e-7 * np.linalg.norm(t) else np.zeros(len(t))


def imbalance(residual: np.ndarray) -> np.ndarray:
    """Return the coefficient of variation of the squares of ``residual`` (..., n): 0 where t² is constant, NaN if 0.

    Examples
    --------
    >>> float(imbalance(np.array([1.0, -1.0, 1.0])))
    0.0
    """
    squared = np.square(residual)
    with np.errstate(invalid="ignore"):
        return squared.std(axis=-1) / squared.mean(axis=-1)


def numerical_rank(A: np.ndarray, *, centred: bool = True, tolerance: float = TOLERANCE) -> int:
    """Return the number of directions in which the rows of ``A`` vary: constant and repeated columns do not count.

    Parameters
    ----------
    A : array of shape (n, d)
    centred : bool, default True
        Whether the means of the columns are removed first.
    tolerance : float
        Singular values up to this share of the size of ``A`` (Frobenius norm, before centring) count as 0.

    Examples
    --------
    >>> numerical_rank(np.array([[1.0, 2.0, 5.0], [2.0, 4.0, 5.0], [0.0, 0.0, 5.0]]))
    1
    """
    values = np.asarray(A, dtype=np.float64)
    triangle = np.linalg.qr(values - values.mean(axis=0) if centred else values, mode="r")
    spectrum = np.linalg.svd(triangle, compute_uv=False)
    return int((spectrum > tolerance * np.linalg.norm(values)).sum())
