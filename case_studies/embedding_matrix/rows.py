"""Random rows in the place of an embedding's, which keep more or less of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.stats import beta

import controls as ct
from case_studies.embedding_matrix.embeddings import Embedding
from case_studies.tiny_lm.embeddings import bounded_rows

BANDS = 4
_REFUSED = 3.0  # rows expected to be as near as the bound to a last row: e⁻³ of the proposals are accepted


def gaussian(embedding: Embedding, rng: np.random.Generator) -> np.ndarray:
    """Return normal rows of exactly the mean and covariance."""
    return np.asarray(ct.GaussianActivations().draw(ct.Problem(embedding.rows), rng).X)


def gaussian_by_frequency(embedding: Embedding, rng: np.random.Generator) -> np.ndarray:
    """Return normal rows of the mean and covariance of each quarter of the tokens by frequency."""
    bands = np.arange(len(embedding.rows)) * BANDS // len(embedding.rows)
    problem = ct.Problem(embedding.rows, groups={"band": bands})
    return np.asarray(ct.GaussianActivations(within="band").draw(problem, rng).X)


def gaussian_by_weight(embedding: Embedding, rng: np.random.Generator) -> np.ndarray:
    """Return normal rows of the mean and covariance in which tokens count by their frequency, as errors do."""
    weights = embedding.counts / embedding.counts.sum()
    mean = weights @ embedding.rows
    spread = np.sqrt(weights)[:, None] * (embedding.rows - mean)  # its squares sum to the covariance
    return mean + rng.standard_normal((len(weights), len(weights))) @ spread


def spectrum_matched(embedding: Embedding, rng: np.random.Generator) -> np.ndarray:
    """Return the rows' mean plus a matrix of the same singular values and uniform singular vectors."""
    mean = embedding.rows.mean(axis=0)
    lengths = np.linalg.svd(embedding.rows - mean, compute_uv=False)
    left, right = (_frame(size, len(lengths), rng) for size in embedding.rows.shape)
    return mean + left * lengths @ right.T


def bounded_cosine(embedding: Embedding, rng: np.random.Generator) -> np.ndarray:
    """Return the rows' mean plus rows as long as theirs, of which no two are near."""
    mean = embedding.rows.mean(axis=0)
    lengths = np.linalg.norm(embedding.rows - mean, axis=1, keepdims=True)
    n, d = embedding.rows.shape
    drawn = bounded_rows(n, d, bound_for(n, d), rng)
    return mean + lengths * drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def bound_for(n: int, d: int) -> float:
    """Return an absolute cosine that n random rows of width d can all be kept below by drawing again.

    Examples
    --------
    >>> round(bound_for(1024, 128), 2)
    0.26
    """
    return float(beta.isf(min(_REFUSED / n, 1.0), 0.5, (d - 1) / 2) ** 0.5)


def _frame(n: int, k: int, rng: np.random.Generator) -> np.ndarray:
    """Return k orthonormal columns of length n, uniformly distributed."""
    frame, upper = np.linalg.qr(rng.standard_normal((n, k)))
    return frame * np.sign(np.diag(upper))


CONTROLS: dict[str, Callable[[Embedding, np.random.Generator], np.ndarray]] = {
    "Gaussian": gaussian,
    "Gaussian by frequency": gaussian_by_frequency,
    "Gaussian, weighted": gaussian_by_weight,
    "spectrum-matched": spectrum_matched,
    "bounded cosine": bounded_cosine,
}
