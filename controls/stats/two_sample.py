"""Two groups of models: an interval over models, and what they say. The unit of replication is the model."""

from __future__ import annotations

import math

import numpy as np

from controls.core.result import Estimate, Verdict
from controls.stats.interval import FEW_UNITS, estimate
from controls.stats.pvalue import PValues
from controls.stats.verdict import Evidence, judge


def welch(first: np.ndarray, second: np.ndarray, *, level: float = 0.95) -> Estimate:
    """Return the difference of the means of two groups of models, with an interval over models (Welch 1947).

    Parameters
    ----------
    first : array of shape (I,)
        One number per model.
    second : array of shape (J,)
    level : float, default 0.95

    Returns
    -------
    Estimate
        Approximate under twenty models. A single model stands for itself: its group has no variance, and the
        interval speaks of the law of the others. Of two single models there is none.

    Examples
    --------
    >>> found = welch(np.array([1.0, 2.0, 3.0]), np.array([0.0, 1.0]))
    >>> round(found.value, 2), round(found.standard_error, 3), round(found.df, 2)
    (1.5, 0.764, 2.88)
    """
    parts = [(float(group.var(ddof=1)) / len(group), len(group) - 1.0) for group in (first, second) if len(group) > 1]
    value, few = float(first.mean() - second.mean()), len(first) + len(second) < FEW_UNITS
    if not parts:
        return Estimate(value, math.nan, math.nan, level, math.nan, 0.0, "models", True)
    (variance, df), further = parts[0], parts[1] if len(parts) > 1 else (0.0, 1.0)
    return estimate(
        value, np.array([math.sqrt(variance)]), df, level=level, target="models", further=further, approximate=few
    )


def judge_models(
    found: Estimate,
    bounds: tuple[float, float],
    p: PValues,
    sizes: tuple[int, int],
    *,
    alpha: float,
    smallest_effect: float,
    names: tuple[str, str],
) -> tuple[Verdict, str]:
    """Return the verdict of one group of models beside another, and its reason in words.

    Conditions are those of a comparison with a control (:func:`controls.stats.verdict.judge`).
    """
    evidence = Evidence(found, bounds, p.upper, p.lower, p.floor, sum(sizes), None)
    verdict = judge(evidence, alpha, smallest_effect)[0]
    low, high = bounds
    span = f"{100 * (1 - 2 * alpha):g}% interval {low:+.3f} to {high:+.3f}".replace("-", "−")  # a minus sign
    m = smallest_effect
    if verdict is Verdict.INCONCLUSIVE and p.floor > alpha:
        least = _needed(sizes[0], alpha)
        more = f"; at alpha {alpha:g} at least {least} {names[1]} ones are needed" if least > sizes[1] else " by ties"
        design = f"{sizes[0]} {names[0]} and {sizes[1]} {names[1]} models"
        return verdict, f"the design cannot decide: with {design} p is never below {p.floor:.3g}{more}"
    if math.isnan(low):
        return verdict, "there is no interval: nothing varies, or each group has one model"
    reasons = {
        Verdict.SELECTIVE: f"{found.value:.3f} more than {names[1]} models give on average ({span})",
        Verdict.NEGLIGIBLE: f"more than {names[1]} models give, but by less than the {m:g} that matters ({span})",
        Verdict.EQUIVALENT: f"within {m:g} of what {names[1]} models give, either way ({span})",
        Verdict.WORSE: f"{names[1]} models give {-found.value:.3f} more ({span})",
        Verdict.INCONCLUSIVE: f"{span}; not distinguished from {names[1]} models",
    }
    return verdict, reasons[verdict]


def _needed(n_first: int, alpha: float) -> int:
    """Return how many models the second group needs for p to reach alpha."""
    size = 1
    while math.comb(n_first + size, n_first) * alpha < 1 - 1e-9:
        size += 1
    return size
