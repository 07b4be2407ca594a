"""Features of which each has a rate of its own, with log-normal strengths: many, most of them rare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np

from controls.core.errors import InputError
from controls.core.validate import as_numpy, random_generator, read_only, real_number, whole_number
from controls.ground_truth.features import FeatureLaw

_SPARE = 8.0  # standard deviations of a count beyond its mean for which gaps are drawn at first


def log_uniform_rates(m: int, rng: np.random.Generator, *, low: float = 10**-5.5, high: float = 10**-1.2) -> np.ndarray:
    """Return m rates whose logarithms are uniform between those of ``low`` and ``high``, shape (m,).

    With the default ends a row of 3200 features has 20.4 active ones on average: the heavy-tailed
    setting of Korznikov et al. (2026).

    Examples
    --------
    >>> rates = log_uniform_rates(3200, np.random.default_rng(0))
    >>> bool(rates.min() > 10**-5.5), bool(rates.max() < 10**-1.2), round(float(rates.sum()))
    (True, True, 20)
    """
    real_number(high, "high", low=0, high=1, open_ends=False)
    if not 0 < real_number(low, "low", low=0, high=1) <= high:
        raise InputError(f"low must be above 0 and at most high = {high:g}, got {low:g}.")
    return np.exp(random_generator(rng).uniform(np.log(low), np.log(high), whole_number(m, "m", low=1)))


@final
@dataclass(frozen=True, eq=False)
class RareFeatures(FeatureLaw):
    """Independent features, each with a rate of its own; active ones are log-normal.

    Parameters
    ----------
    rates : array of shape (m,)
        Probability that each feature is active, above 0 and at most 1: ``np.full(m, rate)``, or
        :func:`log_uniform_rates`.
    sigma : float, default 0.25
        Standard deviation of the logarithm of active coefficients, whose median is 1.

    Notes
    -----
    ``sparse`` costs time and memory by the active entries, not by n × m: rows of each feature are
    found by drawing the gaps between them.

    Examples
    --------
    >>> law = RareFeatures(np.full(3200, 20 / 3200))
    >>> rows = law.sparse(100, np.random.default_rng(0))
    >>> rows.shape, round(float(law.rate * law.m), 9)
    ((100, 3200), 20.0)
    """

    rates: np.ndarray
    sigma: float = 0.25

    def __post_init__(self) -> None:
        rates = as_numpy(self.rates, "rates").astype(np.float64)
        if rates.ndim != 1 or not len(rates) or not ((rates > 0) & (rates <= 1)).all():
            raise InputError("rates must be an array (m,) of probabilities above 0 and at most 1; leave others out.")
        real_number(self.sigma, "sigma", low=0, high=np.inf, open_ends=False)
        object.__setattr__(self, "rates", read_only(rates))

    @property
    def m(self) -> int:  # type: ignore[override]
        """Number of features."""
        return len(self.rates)

    @property
    def rate(self) -> float:  # type: ignore[override]
        """How often a feature is active, on average."""
        return float(self.rates.mean())

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return the coefficients of n rows, shape (n, m)."""
        return self.sparse(n, rng).toarray()

    def sparse(self, n: int, rng: np.random.Generator) -> Any:
        """Return the coefficients of n rows as CSR, shape (n, m)."""
        from scipy.sparse import csr_array

        n, rng = whole_number(n, "n", low=1), random_generator(rng)
        rows, features = self._active(n, rng)
        strengths = np.exp(self.sigma * rng.standard_normal(len(rows)))
        return csr_array((strengths, (rows, features)), shape=(n, self.m))

    def _active(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return the places (row, feature) of active entries."""
        left = np.arange(self.m)  # features whose last row is not yet passed
        last = np.full(self.m, -1, dtype=np.int64)
        rows, features = [], []
        while len(left):
            rates = self.rates[left]
            mean = rates * (n - last[left])
            counts = np.ceil(mean + _SPARE * np.sqrt(mean) + 2).astype(np.int64)
            owner = np.repeat(np.arange(len(left)), counts)
            gaps = np.minimum(rng.geometric(rates[owner]), n + 1)  # that of a rare feature may be huge
            ends = np.cumsum(counts)
            sums = np.cumsum(gaps)
            before = np.concatenate([[0], sums[ends[:-1] - 1]])
            places = sums - before[owner] + last[left][owner]
            inside = places < n
            rows.append(places[inside])
            features.append(left[owner[inside]])
            last[left] = places[ends - 1]
            left = left[last[left] < n]
        return np.concatenate(rows), np.concatenate(features)

    @property
    def mean(self) -> np.ndarray:
        """Expected coefficients, shape (m,)."""
        return self.rates * np.exp(self.sigma**2 / 2)

    @property
    def covariance(self) -> np.ndarray:
        """Covariance of the coefficients, shape (m, m): diagonal."""
        return np.diag(self.rates * np.exp(2 * self.sigma**2) - self.mean**2)
