"""Laws of features: how strongly each of m features is present in a row, with exact means and covariances."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from controls.core.errors import InputError
from controls.core.validate import random_generator, real_number, whole_number


class FeatureLaw(ABC):
    """How the coefficients of m features are drawn. A feature is active where its coefficient is above 0."""

    m: int
    rate: float  # how often each feature is active

    @abstractmethod
    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return the coefficients of n rows, shape (n, m), float64, none below 0."""

    def sparse(self, n: int, rng: np.random.Generator) -> Any:
        """Return the coefficients of n rows as CSR, shape (n, m)."""
        from scipy.sparse import csr_array

        return csr_array(self.sample(n, rng))

    @property
    @abstractmethod
    def mean(self) -> np.ndarray:
        """Expected coefficients, shape (m,)."""

    @property
    @abstractmethod
    def covariance(self) -> np.ndarray:
        """Covariance of the coefficients, shape (m, m)."""


@final
@dataclass(frozen=True)
class SparseFeatures(FeatureLaw):
    """Independent features: active with probability ``rate``, and then uniform between ``low`` and ``high``.

    Parameters
    ----------
    m : int
        Number of features.
    rate : float, default 3/64
        Probability that a feature is active, above 0 and at most 1.
    low, high : float, default 0.5 and 1.5
        Ends of the coefficients of active features, ``0 < low <= high``; equal ends give features
        that are on or off.

    Examples
    --------
    >>> law = SparseFeatures(4, rate=0.5, low=1.0, high=1.0)
    >>> law.mean.tolist(), law.covariance[0].tolist()
    ([0.5, 0.5, 0.5, 0.5], [0.25, 0.0, 0.0, 0.0])
    """

    m: int
    rate: float = 3 / 64
    low: float = 0.5
    high: float = 1.5

    def __post_init__(self) -> None:
        whole_number(self.m, "m", low=1)
        if real_number(self.rate, "rate", low=0, high=1, open_ends=False) == 0:
            raise InputError("rate must be above 0, got 0: no feature would ever be active.")
        real_number(self.low, "low", low=0, high=np.inf)
        if real_number(self.high, "high", low=0, high=np.inf) < self.low:
            raise InputError(f"high must be at least low = {self.low:g}, got {self.high:g}.")
        if self.rate == 1 and self.low == self.high:
            raise InputError("high must be above low where every feature is always active, which would be constant.")

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return the coefficients of n rows, shape (n, m)."""
        shape = (whole_number(n, "n", low=1), self.m)
        return (random_generator(rng).random(shape) < self.rate) * rng.uniform(self.low, self.high, shape)

    @property
    def mean(self) -> np.ndarray:
        """Expected coefficients, shape (m,)."""
        return np.full(self.m, self.rate * (self.low + self.high) / 2)

    @property
    def covariance(self) -> np.ndarray:
        """Covariance of the coefficients, shape (m, m): diagonal."""
        square = self.rate * (self.low**2 + self.low * self.high + self.high**2) / 3
        return np.diag(square - self.mean**2)


@final
@dataclass(frozen=True)
class CorrelatedFeatures(FeatureLaw):
    """Features that are on (1) or off (0), every two with the same correlation.

    Each row has a coin of its own; each feature copies it with probability √correlation, and is a
    coin of its own otherwise.

    Parameters
    ----------
    m : int
        Number of features.
    correlation : float, default 0.3
        Of every two features (φ), from 0 to below 1.
    rate : float, default 0.5
        Probability of 1, between 0 and 1.

    Examples
    --------
    >>> CorrelatedFeatures(2, correlation=0.4).covariance.tolist()
    [[0.25, 0.1], [0.1, 0.25]]
    """

    m: int
    correlation: float = 0.3
    rate: float = 0.5

    def __post_init__(self) -> None:
        whole_number(self.m, "m", low=1)
        if real_number(self.correlation, "correlation", low=0, high=1, open_ends=False) == 1:
            raise InputError("correlation must be below 1, got 1: all features would be one.")
        real_number(self.rate, "rate", low=0, high=1)

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return the coefficients of n rows, shape (n, m)."""
        shape = (whole_number(n, "n", low=1), self.m)
        shared = random_generator(rng).random((n, 1)) < self.rate
        copied = rng.random(shape) < np.sqrt(self.correlation)
        return np.where(copied, shared, rng.random(shape) < self.rate).astype(np.float64)

    @property
    def mean(self) -> np.ndarray:
        """Expected coefficients, shape (m,)."""
        return np.full(self.m, float(self.rate))

    @property
    def covariance(self) -> np.ndarray:
        """Covariance of the coefficients, shape (m, m)."""
        within = (1 - self.correlation) * np.eye(self.m) + self.correlation
        return self.rate * (1 - self.rate) * within
