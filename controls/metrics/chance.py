"""What cosines with the nearest of many random directions are by chance."""

from __future__ import annotations

from typing import Any

import numpy as np

from controls.core.errors import InputError
from controls.core.validate import as_activations, random_generator, real_number, true_or_false, whole_number
from controls.metrics.recovery import as_directions, largest_cosines, matched_cosines

_NODES = 200  # of the quadrature; exact to about 1e-13
_TAIL = 1e-17  # probability that it leaves out at either end


def chance_cosine(m: int, d: int, *, absolute: bool = False) -> float:
    """Return the expected largest cosine of any direction with m independent, uniformly random ones.

    Parameters
    ----------
    m : int
        Number of random directions, at least 1.
    d : int
        Dimensions, at least 1.
    absolute : bool, default False
        Whether opposite directions count as near.

    Returns
    -------
    float
        What MMCS is by chance where dictionaries are isotropic: ∫ t dF(t)^m, F the law of one cosine,
        (1 + cosine)/2 ~ Beta((d − 1)/2, (d − 1)/2). By quadrature, to about 1e-13.

    Notes
    -----
    Dictionaries that are fitted to structureless data are not isotropic: they follow its covariance,
    as the truth does, and come nearer. This is the lowest reference, not the fair one
    (``chance_mmcs`` with a covariance, or ``ct.GaussianActivations``).

    Examples
    --------
    >>> round(chance_cosine(1024, 128), 3), round(chance_cosine(1, 128), 3)
    (0.283, 0.0)
    """
    m, d = whole_number(m, "m", low=1), whole_number(d, "d", low=1)
    true_or_false(absolute, "absolute")
    if d == 1:
        return 1.0 if absolute else 1 - 0.5 ** (m - 1)
    low, high = _angle(m, d, np.log(_TAIL), absolute), _angle(m, d, -_TAIL, absolute)
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    angles = high + (low - high) * (nodes + 1) / 2
    above = -np.expm1(_log_below(m, d, angles, absolute))
    return float(np.cos(low) + (low - high) / 2 * (weights * above * np.sin(angles)).sum())


def chance_cosine_quantile(q: float, m: int, d: int, *, absolute: bool = False) -> float:
    """Return the cosine that the nearest of m uniformly random directions exceeds with probability 1 − q.

    Parameters
    ----------
    q : float
        Between 0 and 1.
    m, d : int
        Number of random directions, and dimensions (at least 2).
    absolute : bool, default False
        Whether opposite directions count as near.

    Examples
    --------
    >>> round(chance_cosine_quantile(0.999, 1024, 128), 3)
    0.405
    """
    m, d = whole_number(m, "m", low=1), whole_number(d, "d", low=2)
    return float(np.cos(_angle(m, d, np.log(real_number(q, "q", low=0, high=1)), true_or_false(absolute, "absolute"))))


def chance_mmcs(
    truth: Any,
    m: int,
    *,
    covariance: Any = None,
    one_to_one: bool = False,
    absolute: bool = False,
    draws: int = 100,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return what MMCS with true directions is where m directions are drawn at random, draw by draw.

    Parameters
    ----------
    truth : array of shape (k, d)
        The true directions.
    m : int
        Number of random directions per draw.
    covariance : array of shape (d, d), optional
        Directions are those of Gaussian vectors with this covariance, such as that of the activations;
        uniform on the sphere where it is None.
    one_to_one : bool, default False
        Whether directions are matched one to one; unmatched ones are left out of the mean.
    absolute : bool, default False
        Whether opposite directions count as near.
    draws : int, default 100
    rng : numpy.random.Generator

    Returns
    -------
    array of shape (draws,)

    Notes
    -----
    Trained dictionaries of structureless data lie above even this: they are fitted, not drawn. Time
    O(draws · k m d), memory k · m.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.normal(size=(64, 32))
    >>> chance = chance_mmcs(truth, 64, rng=rng)
    >>> bool(abs(chance.mean() - chance_cosine(64, 32)) < 4 * chance.std() / 10)
    True
    """
    directions = as_directions(truth, "truth")
    m, draws = whole_number(m, "m", low=1), whole_number(draws, "draws", low=1)
    random_generator(rng)
    root = None if covariance is None else covariance_root(covariance, directions.shape[1])
    scores = np.empty(draws)
    for draw in range(draws):
        drawn = random_directions(m, directions.shape[1], root, rng)
        if one_to_one:
            scores[draw] = np.nanmean(matched_cosines(directions, drawn, absolute=absolute))
        else:
            scores[draw] = largest_cosines(directions, drawn, absolute=absolute).mean()
    return scores


def random_directions(m: int, d: int, root: np.ndarray | None, rng: np.random.Generator) -> np.ndarray:
    """Return m directions (m, d) of Gaussian vectors with covariance root @ root.T; isotropic where None."""
    rows = rng.standard_normal((m, d if root is None else root.shape[1]))
    rows = rows if root is None else rows @ root.T
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def covariance_root(covariance: Any, d: int) -> np.ndarray:
    """Return R (d, r) with R Rᵀ the covariance; refuse what is none."""
    matrix = np.asarray(as_activations(covariance, "covariance"), dtype=np.float64)
    if matrix.shape != (d, d) or not np.allclose(matrix, matrix.T, rtol=1e-6, atol=1e-9 * np.abs(matrix).max()):
        raise InputError(f"covariance must be a symmetric matrix of shape {(d, d)}, got shape {matrix.shape}.")
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    if values[-1] <= 0 or values[0] < -1e-6 * values[-1]:
        raise InputError(
            f"covariance must have no negative eigenvalue and not be zero, got eigenvalues from {values[0]:g} to "
            f"{values[-1]:g}."
        )
    kept = values > 1e-12 * values[-1]
    return vectors[:, kept] * np.sqrt(values[kept])


def _log_below(m: int, d: int, angles: np.ndarray, absolute: bool) -> np.ndarray:
    """Return log P(no one of m directions is nearer than these angles)."""
    from scipy.special import betainc

    nearer = betainc((d - 1) / 2, (d - 1) / 2, np.square(np.sin(angles / 2)))
    with np.errstate(divide="ignore"):
        return m * np.log1p(-(2 * nearer if absolute else nearer).clip(max=1.0))


def _angle(m: int, d: int, log_below: float, absolute: bool) -> float:
    """Return the angle within which none of m directions is, with this log probability."""
    from scipy.special import betaincinv

    nearer = -np.expm1(log_below / m) / (2 if absolute else 1)
    return float(2 * np.arcsin(np.sqrt(betaincinv((d - 1) / 2, (d - 1) / 2, nearer))))
