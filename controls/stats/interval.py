"""Intervals: t on deviations per unit, with the control's Monte-Carlo variance as a second factor.

A deviation is what one unit does to a score: score − score without that unit, which for a mean over
rows is the influence of the unit divided by one minus its leverage. The sum of squared deviations
estimates the variance over units also where units are few and very unequal, with G − K degrees of
freedom for G units in K folds.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import stdtr, stdtrit

from controls.core.result import Estimate

FEW_UNITS = 20  # under this many, an interval is marked approximate


def estimate(
    value: float,
    deviations: np.ndarray,
    df: float,
    *,
    level: float = 0.95,
    target: str = "fitted",
    further: tuple[float, float] = (0.0, 1.0),
    approximate: bool = False,
    least_error: float = 0.0,
) -> Estimate:
    """Return a t interval around ``value``.

    Parameters
    ----------
    value : float
    deviations : array of shape (G,)
        One per unit; their squares sum to the variance over units.
    df : float
        Degrees of freedom of that variance.
    level : float
        Confidence level.
    further : (float, float)
        Variance from elsewhere (few draws, folds that share training units), and its degrees of freedom.
    approximate : bool
        Marked so in reports.
    least_error : float
        The standard error over units is at least this: see :func:`least_error`.

    Notes
    -----
    Degrees of freedom of the sum of both variances after Satterthwaite (1946). Where nothing varies at
    all (a probe that predicts one class always has F1 = 0 whatever unit is left out), nothing is known
    of the variance, and there is no interval.
    """
    of_units, beyond = max(float(np.square(deviations).sum()), least_error**2), further[0]
    total = of_units + beyond
    if not (df >= 1 and math.isfinite(total) and total > 0):
        return Estimate(value, math.nan, math.nan, level, math.nan, max(df, 0.0), target, True)
    df = total**2 / (of_units**2 / df + beyond**2 / max(further[1], 1.0))
    error = math.sqrt(total)
    half = float(stdtrit(df, (1 + level) / 2)) * error
    return Estimate(value, value - half, value + half, level, error, df, target, approximate)


def least_error(effect: float, n_units: int) -> float:
    """Return the least standard error of an effect seen in G units that all agree.

    A kind of unit without the effect that makes up 3/G of all is missed by G units with probability
    .05 (the rule of three); two standard errors of sqrt(2)·effect/G span what that would cost.

    Examples
    --------
    >>> round(least_error(0.5, 10), 3)
    0.071
    """
    return math.sqrt(2.0) * abs(effect) / n_units


def bounds(selectivity: Estimate, alpha: float) -> tuple[float, float]:
    """Return the ends of the 1 − 2·alpha interval, by which verdicts go."""
    if math.isnan(selectivity.standard_error):
        return math.nan, math.nan
    half = float(stdtrit(selectivity.df, 1 - alpha)) * selectivity.standard_error
    return selectivity.value - half, selectivity.value + half


def level_reaching(selectivity: Estimate, effect: float) -> float:
    """Return the smallest alpha at which the lower bound reaches ``effect``: a one-sided p for "at most effect"."""
    if math.isnan(selectivity.standard_error):
        return 1.0
    return float(stdtr(selectivity.df, (effect - selectivity.value) / selectivity.standard_error))
