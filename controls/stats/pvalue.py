"""p-values from draws or from full enumeration: never 0, with their floor."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class PValues:
    """One-sided p-values of an observed score among the draws of a control."""

    upper: float  # draws at least as high as observed
    lower: float  # draws at most as high as observed
    floor: float  # the smallest p that this design can give
    interval: tuple[float, float] | None  # Clopper–Pearson 95% of the exceedance rate; None where enumerated


def tie_tolerance(observed: float, engine_tolerance: float = 0.0) -> float:
    """Return the difference up to which two scores count as tied."""
    return max(100 * np.finfo(float).eps * max(abs(observed), 1.0), engine_tolerance)


def p_floor(draws: int, log_relabelings: float | None) -> float:
    """Return the smallest p of a design: max(1 / (draws + 1), 1 / relabelings)."""
    of_draws = 1.0 / (draws + 1)
    return of_draws if log_relabelings is None else max(of_draws, math.exp(-log_relabelings))


def p_values(
    observed: float, scores: np.ndarray, *, tolerance: float, enumerated: bool, log_relabelings: float | None
) -> PValues:
    """Return the p-values of ``observed`` among ``scores``.

    Enumerated (every distinct relabeling once, the identity included): p = #{score >= observed} / N,
    and the floor is what the highest of them would get, ties counted.
    Drawn: p = (1 + #{score >= observed}) / (draws + 1), which is valid for any number of draws
    (Phipson and Smyth 2010). A draw whose score is NaN counts as an exceedance in both tails.

    Parameters
    ----------
    observed : float
    scores : array of shape (draws,)
    tolerance : float
        Scores closer than this are ties, and ties count.
    enumerated : bool
    log_relabelings : float or None
        Natural log of the number of distinct relabelings; None where endless.

    Examples
    --------
    >>> import numpy as np
    >>> p_values(1.0, np.array([0.0, 0.5, 1.0]), tolerance=1e-9, enumerated=False, log_relabelings=None).upper
    0.5
    """
    broken = int((np.isnan(scores) | math.isnan(observed)).sum())
    above = int((scores >= observed - tolerance).sum()) + broken
    below = int((scores <= observed + tolerance).sum()) + broken
    n = len(scores)
    if enumerated:
        # Relabelings that tie at the top (mirrored labels often do) keep every p above 1/N.
        best = int((scores >= np.nanmax([*scores, observed]) - tolerance).sum()) + broken
        return PValues(above / n, below / n, best / n, None)
    floor = p_floor(n, log_relabelings)
    return PValues((1 + above) / (n + 1), (1 + below) / (n + 1), floor, clopper_pearson(above, n))


def clopper_pearson(count: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Return the exact interval of a binomial rate.

    Examples
    --------
    >>> clopper_pearson(0, 99)
    (0.0, 0.036...)
    """
    from scipy.special import betaincinv

    tail = (1 - level) / 2
    low = 0.0 if count == 0 else float(betaincinv(count, n - count + 1, tail))
    high = 1.0 if count == n else float(betaincinv(count + 1, n - count, 1 - tail))
    return low, high


def visible_rate(repetitions: int, rate: float, level: float, power: float = 0.9) -> float | None:
    """Return the smallest true rate of which so many repetitions would say that it is above ``rate``.

    By a one-sided binomial test at ``level``, with probability ``power``. None where no count could say so.

    Examples
    --------
    >>> round(visible_rate(200, 0.05, 0.01), 2), visible_rate(1, 0.05, 0.01)
    (0.12, None)
    """
    from scipy.special import bdtrc, betaincinv

    counts = np.arange(1, repetitions + 1)
    enough = counts[bdtrc(counts - 1, repetitions, rate) <= level]  # their upper tails are at or below the level
    return float(betaincinv(enough[0], repetitions - enough[0] + 1, power)) if len(enough) else None
