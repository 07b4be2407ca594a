"""Named properties of activations that controls keep or destroy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from controls.core.arrays import dense
from controls.core.problem import Problem
from controls.core.properties import Association, Property
from controls.core.sequences import rows_of_each, sequence_codes
from controls.generators.moments import moments_of

_NEAR = 1e-5  # relative, of what is kept up to rounding (activations may be float32)
_ROWS = 500  # of which inner products are compared


def stratum_codes(problem: Problem, within: str | None, per_label: bool) -> np.ndarray:
    """Return the stratum of each row as numbers 0 … k−1: its group, its class, both, or one for all."""
    codes = sequence_codes(problem, within)
    if per_label:
        codes = codes * (int(problem.label_codes.max()) + 1) + problem.label_codes
    return np.unique(codes, return_inverse=True)[1].ravel()


def where(within: str | None, per_label: bool) -> str:
    """Return the strata in words, to follow what is kept in each."""
    named = [*([within] if within else []), *(["class"] if per_label else [])]
    return f" within each {' and '.join(named)}" if named else ""


@final
@dataclass(frozen=True)
class CoordinateValues(Property):
    """The values of each coordinate, as a multiset, optionally within each stratum."""

    within: str | None = None
    per_label: bool = False

    @property
    def words(self) -> str:
        """The property in words."""
        return "the values of each coordinate" + where(self.within, self.per_label)

    def holds(self, before: Problem, after: Problem) -> bool:
        """Whether sorted values agree, bit for bit (in the type of the draw)."""
        old, new = dense(before.X).astype(after.X.dtype), dense(after.X)
        strata = rows_of_each(stratum_codes(before, self.within, self.per_label))
        return all(np.array_equal(np.sort(old[rows], axis=0), np.sort(new[rows], axis=0)) for rows in strata)


@final
@dataclass(frozen=True)
class InnerProducts(Property):
    """The inner products of rows (of the first 500 with one another)."""

    @property
    def words(self) -> str:
        """The property in words."""
        return "the inner products of all rows: lengths, angles, distances"

    def holds(self, before: Problem, after: Problem) -> bool:
        """Whether they agree, to 1e-5 of the largest."""
        old, new = (np.asarray(dense(problem.X[:_ROWS]), dtype=np.float64) for problem in (before, after))
        return near(old @ old.T, new @ new.T)


@final
@dataclass(frozen=True)
class MeanAndCovariance(Property):
    """The mean and the covariance of the rows, optionally of each stratum, up to rounding."""

    within: str | None = None
    per_label: bool = False

    @property
    def words(self) -> str:
        """The property in words."""
        return "the mean and covariance of the activations" + where(self.within, self.per_label)

    def holds(self, before: Problem, after: Problem) -> bool:
        """Whether they agree, to 1e-5 of each coordinate's size."""
        for rows in rows_of_each(stratum_codes(before, self.within, self.per_label)):
            old, new = moments_of(before.X, rows), moments_of(after.X, rows)
            spread = np.sqrt(np.diag(old.scatter))
            size = np.sqrt(np.diag(old.scatter) / old.count + old.mean**2)
            if (np.abs(old.mean - new.mean) > _NEAR * size).any():
                return False
            slack = _NEAR * (spread[:, None] * spread + old.count * size[:, None] * size * 1e-2)
            if (np.abs(old.scatter - new.scatter) > slack).any():
                return False
        return True


@final
@dataclass(frozen=True)
class RowNorms(Property):
    """The length of every row, up to rounding."""

    @property
    def words(self) -> str:
        """The property in words."""
        return "the length of every row"

    def holds(self, before: Problem, after: Problem) -> bool:
        """Whether they agree, to 1e-5 of the largest."""
        return near(*(np.linalg.norm(dense(problem.X).astype(np.float64), axis=1) for problem in (before, after)))


@final
@dataclass(frozen=True)
class Spectra(Property):
    """The mean, and the power and cross spectra of all coordinates along the rows of each sequence."""

    within: str | None = None

    @property
    def words(self) -> str:
        """The property in words."""
        where = f" along each {self.within}" if self.within else ""
        return f"the mean, and the power and cross spectra of all coordinates{where}"

    def holds(self, before: Problem, after: Problem) -> bool:
        """Whether every frequency's products of coordinates agree, to 1e-5 of the coordinates' largest."""
        for rows in rows_of_each(sequence_codes(before, self.within)):
            old, new = (np.fft.rfft(dense(problem.X[rows]).astype(np.float64), axis=0) for problem in (before, after))
            size = np.abs(old).max(axis=0) + 1e-300
            products = [np.einsum("fi,fj->fij", part / size, np.conj(part / size)) for part in (old, new)]
            if np.abs(products[0] - products[1]).max() > _NEAR or np.abs((old - new)[0] / size).max() > _NEAR:
                return False
        return True


@final
@dataclass(frozen=True)
class ActivationAlignment(Association):
    """Which row has which activations: their correlation with those observed, about the mean of each stratum."""

    within: str | None = None
    per_label: bool = False

    @property
    def words(self) -> str:
        """The property in words."""
        return "which row has which activations" + where(self.within, self.per_label)

    def strength(self, before: Problem, after: Problem) -> float:
        """Return the correlation, every coordinate counting alike."""
        codes = stratum_codes(before, self.within, self.per_label)
        old, new = (_standardised(dense(problem.X).astype(np.float64), codes) for problem in (before, after))
        size = np.linalg.norm(old) * np.linalg.norm(new)
        return float((old * new).sum() / size) if size else 0.0


def _standardised(X: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return activations about the mean of their stratum, each coordinate of length 1 or 0."""
    counts = np.bincount(codes)[:, None]
    means = np.stack([np.bincount(codes, weights=column) for column in X.T], axis=1) / counts
    centred = X - means[codes]
    lengths = np.linalg.norm(centred, axis=0)
    return np.divide(centred, lengths, out=np.zeros_like(centred), where=lengths > 1e-9 * np.linalg.norm(X, axis=0))


def near(old: np.ndarray, new: np.ndarray) -> bool:
    """Whether two arrays agree, to 1e-5 of the largest entry of the first."""
    return bool(np.abs(old - new).max() <= _NEAR * max(float(np.abs(old).max()), 1e-300))
