"""Latents read by given directions, as often and as strongly as those of a finding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np

from controls.core.arrays import dense_rows
from controls.core.dictionary import Dictionary, side_by_side
from controls.core.problem import Problem

_NUMBERS = 1 << 24  # projections at a time


@final
@dataclass(frozen=True, eq=False)
class ReadDictionary(Dictionary):
    """A dictionary whose latents are affine in the activations, those that are not signed where positive."""

    found: Dictionary
    rows: np.ndarray  # (m, d_out), what latents write
    read: np.ndarray  # (m, d_in), by what they are read
    shift: np.ndarray  # (m,)
    signed: np.ndarray  # (m,), without a threshold
    offset: np.ndarray  # (d_out,), what is added to every row

    @property
    def reads(self) -> tuple[str, ...]:
        """The sites that are read."""
        return self.found.reads

    @property
    def writes(self) -> tuple[str, ...]:
        """The sites that are written."""
        return self.found.writes

    @property
    def decoder(self) -> np.ndarray:
        """The given directions."""
        return self.rows

    @property
    def encoder(self) -> np.ndarray:
        """The directions that read."""
        return self.read

    def encode(self, activations: np.ndarray) -> np.ndarray:
        """Return latents (n, m)."""
        latents = activations @ self.read.T + self.shift
        return np.where(self.signed, latents, np.maximum(latents, 0))

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """Return the reconstruction (n, d_out)."""
        return latents @ self.rows + self.offset


def read_directions(found: Dictionary, rows: np.ndarray, read: np.ndarray, problem: Problem) -> ReadDictionary:
    """Return the dictionary of given directions whose latents fire as often, and are as large, as those of another.

    Parameters
    ----------
    found : Dictionary
    rows, read : array of shape (m, d_out), (m, d_in)
        What latents write, and at length 1 by what they are read.
    problem : Problem
        The rows on which they fire as often.
    """
    fires, total = np.zeros(found.n_latents, dtype=np.int64), np.zeros(found.n_latents)
    squares, signed = np.zeros(found.n_latents), np.zeros(found.n_latents, dtype=bool)
    for _, latents in found.latents(problem):
        fires += np.count_nonzero(latents, axis=0)
        total += latents.sum(axis=0, dtype=np.float64)
        squares += np.square(latents, dtype=np.float64).sum(axis=0)
        signed |= (latents < 0).any(axis=0)
    mean = total / problem.n
    spread = np.sqrt(np.maximum(squares / problem.n - mean**2, 0))
    scale, shift = np.zeros(len(mean)), np.zeros(len(mean))
    activations = side_by_side(problem, found.reads, np.arange(problem.n))
    size = max(1, _NUMBERS // problem.n)
    for start in range(0, found.n_latents, size):
        some = slice(start, start + size)
        projected = np.asarray(activations @ read[some].T, dtype=np.float64)
        threshold = thresholds(projected, fires[some])
        above = np.maximum(projected - threshold, 0).mean(axis=0)
        middle, width = projected.mean(axis=0), projected.std(axis=0)
        own = np.where(signed[some], _ratio(spread[some], width), _ratio(mean[some], above))
        scale[some] = own
        shift[some] = np.where(signed[some], mean[some] - own * middle, -own * np.where(own > 0, threshold, 0.0))
    offset = found.decode(np.zeros((1, found.n_latents), dtype=activations.dtype))[0]
    return ReadDictionary(found, rows, read * scale[:, None], shift, signed, offset)


def thresholds(projected: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return thresholds (m,) that so many of the projections (n, m) of each column are above, up to ties.

    Half-way between the last that is above and the first that is not.

    Examples
    --------
    >>> thresholds(np.array([[1.0, 1.0], [2.0, 2.0], [4.0, 4.0]]), np.array([1, 0])).tolist()
    [3.0, 4.5]
    """
    ranked = np.sort(projected, axis=0)
    margin = np.maximum(ranked[-1] - ranked[0], 1e-9 * np.abs(ranked).max(axis=0)) / len(ranked)
    padded = np.vstack([ranked[0] - margin, ranked, ranked[-1] + margin])
    first, column = len(ranked) - counts, np.arange(projected.shape[1])
    return (padded[first, column] + padded[first + 1, column]) / 2


def read_threshold(finding: Any, old: np.ndarray, new: np.ndarray, problem: Problem) -> np.ndarray:
    """Return intercepts (k,) for new coefficients with which as many rows score above 0, or the mean stays."""
    X = dense_rows(problem.X, np.arange(problem.n))
    before, after = X @ old.T + np.atleast_1d(finding.intercept_), np.asarray(X @ new.T, dtype=np.float64)
    if not hasattr(finding, "classes_"):
        return (before.mean(axis=0) - after.mean(axis=0)).astype(np.float64)
    return -thresholds(after, (before > 0).sum(axis=0))


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
