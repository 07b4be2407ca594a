"""The Gaussian of greatest entropy whose covariances along each side of a tensor are given (Elsayed and Cunningham)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

_NOTHING = 1e-9  # of the largest eigenvalue of a side: below it, nothing varies along that axis


@final
@dataclass(frozen=True, eq=False)
class TensorLaw:
    """The law of a tensor, of three sides.

    Parameters
    ----------
    mean : array of shape (P, T, d)
        The additive mean: that of each place on each side, added up.
    axes : tuple of arrays of shapes (P, p), (T, t), (d, e)
        Eigenvectors of the covariance along each side, where something varies.
    variances : array of shape (p, t, e)
        Variance along each product of axes.
    error : float
        Largest relative error of an eigenvalue that the law has along a side.
    """

    mean: np.ndarray
    axes: tuple[np.ndarray, np.ndarray, np.ndarray]
    variances: np.ndarray
    error: float

    def sample(self, rng: np.random.Generator) -> np.ndarray:
        """Return a draw, shape (P, T, d); O(P T d (P + T + d)) time."""
        noise = rng.standard_normal(self.variances.shape) * np.sqrt(self.variances)
        return self.mean + self._turned(noise, self.axes)

    def whitened(self, tensor: np.ndarray) -> np.ndarray:
        """Return a tensor in these axes, at the scale at which a draw is standard normal, shape (p, t, e)."""
        first, second, third = self.axes
        return self._turned(tensor - self.mean, (first.T, second.T, third.T)) / np.sqrt(self.variances)

    @staticmethod
    def _turned(tensor: np.ndarray, sides: tuple[np.ndarray, ...]) -> np.ndarray:
        for side, matrix in enumerate(sides):
            tensor = np.moveaxis(np.tensordot(matrix, tensor, axes=(1, side)), 0, side)
        return tensor


def fit_tensor_law(tensor: np.ndarray) -> TensorLaw:
    """Return the law of greatest entropy of a tensor's additive mean and the covariances along its three sides.

    The covariance of the law has the products of the sides' eigenvectors as its own, and variances
    1 / (a_i + b_j + c_k); the multipliers are found by L-BFGS on their logarithms, so that the law's eigenvalues
    along each side are those of the tensor.

    Notes
    -----
    O(P T d) a step, some hundred steps, after three eigendecompositions.
    """
    mean = additive_mean(tensor)
    centred = tensor - mean
    axes, spectra = [], []
    for side in range(3):
        unfolded = np.moveaxis(centred, side, 0).reshape(tensor.shape[side], -1)
        values, vectors = np.linalg.eigh(unfolded @ unfolded.T)
        kept = values > _NOTHING * values[-1]
        axes.append(vectors[:, kept])
        spectra.append(values[kept])
    variances, error = _solve(spectra)
    return TensorLaw(mean, (axes[0], axes[1], axes[2]), variances, error)


def additive_mean(tensor: np.ndarray) -> np.ndarray:
    """Return what the means of places on each side give, added up, shape of the tensor."""
    sides = [tensor.mean(axis=tuple(other for other in range(3) if other != side), keepdims=True) for side in range(3)]
    return sides[0] + sides[1] + sides[2] - 2 * tensor.mean()


def _solve(spectra: list[np.ndarray]) -> tuple[np.ndarray, float]:
    """Return the variances whose sums over two sides are the spectrum of the third, and the largest relative error."""
    from scipy.optimize import minimize

    shape = tuple(map(len, spectra))
    scale = spectra[0].sum() / np.prod(shape)  # mean variance
    logs = [np.log(values / scale) for values in spectra]
    start = np.concatenate([np.log(np.prod(shape) / len(log) / 3) - log for log in logs])
    ends = np.cumsum(shape)[:-1]

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        parts = [np.exp(part) for part in np.split(parameters, ends)]
        variances = 1 / _outer_sum(parts)
        sums = [_over_others(variances, side) for side in range(3)]
        off = [np.log(total) - log for total, log in zip(sums, logs, strict=True)]
        weights = _outer_sum([2 * part / total for part, total in zip(off, sums, strict=True)])
        slopes = -weights * variances**2  # of the loss, by the sum of multipliers
        gradient = np.concatenate([part * _over_others(slopes, side) for side, part in enumerate(parts)])
        return float(sum((part**2).sum() for part in off)), gradient

    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 5000, "maxfun": 10000,
                                                                        "ftol": 0.0, "gtol": 1e-10})  # fmt: skip
    variances = 1 / _outer_sum([np.exp(part) for part in np.split(found.x, ends)])
    errors = [np.abs(_over_others(variances, side) / np.exp(log) - 1).max() for side, log in enumerate(logs)]
    return variances * scale, float(max(errors))


def _outer_sum(parts: list[np.ndarray]) -> np.ndarray:
    return parts[0][:, None, None] + parts[1][None, :, None] + parts[2][None, None, :]


def _over_others(tensor: np.ndarray, side: int) -> np.ndarray:
    return tensor.sum(axis=tuple(other for other in range(3) if other != side))
