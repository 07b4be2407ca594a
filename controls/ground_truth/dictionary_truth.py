"""What can be read from sums of known directions, and what steering along a direction moves: exact answers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np

from controls.core.errors import InputError
from controls.core.validate import whole_number
from controls.ground_truth.shapes import numbers


@final
@dataclass(frozen=True, eq=False)
class DictionaryTruth:
    """Population answers for activations ``coefficients @ directions + noise``.

    Parameters
    ----------
    directions : array of shape (m, d)
    mean : array of shape (m,)
        Expected coefficients.
    covariance : array of shape (m, m)
        Covariance of the coefficients.
    noise : float
        Standard deviation of the noise on each activation.

    Notes
    -----
    All of it follows from the covariance of the activations, DᵀCD + noise² I for directions D and
    coefficients of covariance C, at a cost of O(d³ + m² d).

    Examples
    --------
    >>> from controls.ground_truth import PlantedDictionary, SparseFeatures, overlapping_directions
    >>> truth = PlantedDictionary(overlapping_directions(8, 0.6), SparseFeatures(8)).truth
    >>> f, p = truth.directions[0], truth.probe_directions[0]
    >>> round(truth.r2_along(p, 0), 3), round(truth.r2_along(f, 0), 3)  # read with p
    (1.0, 0.284)
    >>> bool(abs(truth.leaks(f, 0)[1]) < 1e-12), round(float(truth.leaks(p, 0)[1]), 4)  # steer with f
    (True, -0.1304)
    """

    directions: np.ndarray
    mean: np.ndarray
    covariance: np.ndarray
    noise: float = 0.0

    @property
    def activation_mean(self) -> np.ndarray:
        """Expected activations, shape (d,)."""
        return self.mean @ self.directions

    @cached_property
    def signal_covariance(self) -> np.ndarray:
        """Covariance of the activations without the noise, shape (d, d)."""
        return self.directions.T @ self.covariance @ self.directions

    @property
    def activation_covariance(self) -> np.ndarray:
        """Covariance of the activations, shape (d, d)."""
        return self.signal_covariance + self.noise**2 * np.eye(self.directions.shape[1])

    @cached_property
    def probe_directions(self) -> np.ndarray:
        """Least-squares direction for each feature, shape (m, d): what a linear probe tends to with more rows.

        Without noise, and of at most d independent directions, the dual basis: each is orthogonal to
        the directions of all other features. With much noise it turns to the direction itself.
        """
        return (np.linalg.pinv(self.activation_covariance, hermitian=True) @ self._with_features).T

    @property
    def r2(self) -> np.ndarray:
        """Best R² of a linear probe for each feature's coefficient, shape (m,).

        Of independent features of one variance, without noise, it is f·(DᵀD)⁻¹f for direction f,
        and its mean is min(m, d) / m exactly (for directions in general position).
        """
        explained = (self.probe_directions * self._with_features.T).sum(axis=1)
        return explained / np.diag(self.covariance)

    @property
    def mean_differences(self) -> np.ndarray:
        """Mean activations where the feature is on minus those where it is off, shape (m, d), per unit of it.

        The directions themselves where features are independent: the ones to steer with. Correlated
        features of equal variance are mixed in, each with a weight equal to the correlation.
        """
        return (self._with_features / np.diag(self.covariance)).T

    @cached_property
    def dual(self) -> np.ndarray:
        """Pseudo-inverse of the directions, shape (m, d): ``activations @ dual.T`` are the coefficients where m ≤ d."""
        return np.linalg.pinv(self.directions).T

    def r2_along(self, direction: np.ndarray, feature: int) -> float:
        """Return the R² of a feature's coefficient on the activations along one direction."""
        direction, feature = self._checked(direction, feature)
        along = float(direction @ self.activation_covariance @ direction)
        shared = float(direction @ self._with_features[:, feature])
        return shared**2 / (along * float(self.covariance[feature, feature])) if along > 0 else 0.0

    def leaks(self, direction: np.ndarray, feature: int) -> np.ndarray:
        """Return by how much steering along a direction moves each feature, over how much it moves this one.

        Features are read by ``dual``. Shape (m,); 1 at the feature itself.

        Raises
        ------
        InputError
            The direction does not move the feature at all.
        """
        direction, feature = self._checked(direction, feature)
        moved = self.dual @ direction
        if abs(moved[feature]) <= 1e-12 * np.abs(moved).max(initial=0.0):
            raise InputError(f"direction must move feature {feature}, got one that does not.")
        return moved / moved[feature]

    def cross_talk(self, readouts: np.ndarray) -> float:
        """Return the root mean square of what each readout, scaled to 1 on its own feature, sees of the others.

        Parameters
        ----------
        readouts : array of shape (m, d)
            For example ``directions``, or ``dual``. None has less than ``least_cross_talk``.
        """
        readouts = numbers(readouts, "readouts")
        if readouts.shape != self.directions.shape:
            raise InputError(f"readouts must have the shape of the directions, {self.directions.shape}.")
        seen = readouts @ self.directions.T
        seen = seen / np.diag(seen)[:, None]
        m = len(seen)
        return float(np.sqrt((np.square(seen).sum() - m) / (m * (m - 1))))

    @property
    def least_cross_talk(self) -> float:
        """The least cross-talk of any linear readout: √((m − d) / (d (m − 1))) for m > d, else 0 (Welch 1974)."""
        m, d = self.directions.shape
        return float(np.sqrt(max(m - d, 0) / (d * max(m - 1, 1))))

    @property
    def _with_features(self) -> np.ndarray:
        """Covariance of the activations with the coefficients, shape (d, m)."""
        return self.directions.T @ self.covariance

    def _checked(self, direction: np.ndarray, feature: int) -> tuple[np.ndarray, int]:
        direction = numbers(direction, "direction").ravel()
        m, d = self.directions.shape
        if len(direction) != d or not np.isfinite(direction).all():
            raise InputError(f"direction must be {d} finite numbers, got shape {direction.shape}.")
        if whole_number(feature, "feature", low=0) >= m:
            raise InputError(f"feature must be a position from 0 to {m - 1}, got {feature}.")
        return direction, int(feature)
