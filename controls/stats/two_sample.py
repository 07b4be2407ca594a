"""Two groups of models: an interval over models, and what they say. The unit of replication is the model."""

from __future__ import annotations

import math

import numpy as np

from controls.core.result import Estimate, Verdict
from controls.stats.interval import FEW_UNITS, estimate
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
    evidence: Evidence, sizes: tuple[int, int], names: tuple[str, str], alpha: float, smallest_effect: float
) -> tuple[Verdict, str]:
    """Return the verdict of I models beside J others, and its reason in words, which name the models needed.

    Conditions are those of a comparison with a control (:func:`controls.stats.verdict.judge`).
    """
    verdict, reason = judge(evidence, alpha, smallest_effect)
    if evidence.p_floor <= alpha:
        return verdict, reason
    least = _needed(sizes[0], alpha)
    more = (
        f"; at alpha {alpha:g} at least {least} {names[1]} ones are needed" if least > sizes[1] else ", because of ties"
    )
    design = f"{sizes[0]} {names[0]} and {sizes[1]} {names[1]} models"
    return verdict, f"the design cannot decide: with {design} p is never below {evidence.p_floor:.3g}{more}"


def _needed(n_first: int, alpha: float) -> int:
    """Return how many models the second group needs for p to reach alpha."""
    size = 1
    while math.comb(n_first + size, n_first) * alpha < 1 - 1e-9:
        size += 1
    return size
