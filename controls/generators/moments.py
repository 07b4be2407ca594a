"""Moments: mean and covariance of activations, read and written a chunk of rows at a time."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from controls.core.arrays import dense_rows, is_mapped, is_sparse

_CHUNK_BYTES = 1 << 25  # of a chunk of rows in float64
_TINY = 1e-12  # of the largest eigenvalue: below it there is no variance


@final
@dataclass(frozen=True, eq=False)
class Moments:
    """Mean and scatter of some rows.

    Parameters
    ----------
    count : int
        Number of rows.
    mean : array of shape (d,)
    scatter : array of shape (d, d)
        Sum of squares and products about the mean.
    """

    count: int
    mean: np.ndarray
    scatter: np.ndarray

    def axes(self, scatter: np.ndarray | None = None) -> np.ndarray:
        """Return the axes of the scatter (or another), longest first, as rows (r, d) A with AᵀA equal to it."""
        values, vectors = np.linalg.eigh(self.scatter if scatter is None else scatter)
        kept = values > _TINY * max(float(values[-1]), 0.0)
        return (vectors[:, kept] * np.sqrt(values[kept])).T[::-1]


def moments_of(X: Any, rows: np.ndarray) -> Moments:
    """Return the moments of some rows: two passes, O(n d²) time, O(d²) memory beside a chunk."""
    d = X.shape[1]
    mean = np.zeros(d)
    for part in chunks(rows, d):
        mean += as_read(X, part).sum(axis=0)
    mean /= len(rows)
    scatter = np.zeros((d, d))
    for part in chunks(rows, d):
        centred = as_read(X, part) - mean
        scatter += centred.T @ centred
    return Moments(len(rows), mean, scatter)


def chunks(rows: np.ndarray, d: int) -> Iterator[np.ndarray]:
    """Yield the rows chunk by chunk, so that one of d numbers each is about 32 MB in float64."""
    size = max(1, _CHUNK_BYTES // (8 * d))
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def as_read(X: Any, rows: np.ndarray) -> np.ndarray:
    """Return some rows as a dense array of float64."""
    return np.asarray(dense_rows(X, rows), dtype=np.float64)


def empty_like(X: Any) -> np.ndarray:
    """Return an array of the activations' shape and floating type, mapped to an unnamed file where they are mapped."""
    dtype = X.dtype if X.dtype.kind == "f" and X.dtype.itemsize >= 4 else np.dtype(np.float32)
    dtype = np.dtype(np.float64) if X.dtype.kind != "f" else dtype
    if is_sparse(X) or not is_mapped(X):
        return np.empty(X.shape, dtype=dtype)
    with tempfile.TemporaryFile(prefix="controls-") as file:  # the mapping keeps it until it is gone itself
        return np.memmap(file, dtype=dtype, mode="w+", shape=X.shape)
