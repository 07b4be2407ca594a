"""Verdicts: what the numbers of a comparison, and of a battery of them, say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from controls.core.result import ClaimVerdict, Comparison, Estimate, Verdict

_FAR = 1000  # more times the units than this are not worth naming: the effect seen is nil


@dataclass(frozen=True)
class Evidence:
    """What the verdict of one comparison is made from."""

    selectivity: Estimate
    bounds: tuple[float, float]
    p_value: float
    p_lower: float
    p_floor: float
    n_units: int
    relabelings: int | None  # their number, where all were enumerated
    test: bool = True  # whether p is that of a test, or a rank among an ensemble
    what: str = "relabelings"  # what was enumerated
    unscored: float = 0.0  # share of draws without a score, of which no interval speaks
    score: str = "the score"  # what is compared, in words
    control: str = "the control"  # with what
    unit: str = "units"  # what more of would decide; "folds" where rows have no part in the score
    constant: bool = False  # whether there are units enough in some fold, none of which changes the score
    draws: int | None = None  # how many were drawn; None where all relabelings were made, or swaps
    of_draws: float = 0.0  # what their being few adds to the variance of the selectivity


def judge(evidence: Evidence, alpha: float, smallest_effect: float) -> tuple[Verdict, str]:
    """Return the verdict of one comparison and its reason in words; the first match wins."""
    low, high = evidence.bounds
    m = smallest_effect
    value = evidence.selectivity.value
    span = f"{100 * (1 - 2 * alpha):g}% interval {low:+.3f} to {high:+.3f}".replace("-", "−")  # a minus sign
    if evidence.p_floor > alpha:
        return Verdict.INCONCLUSIVE, _too_small_a_design(evidence, alpha)
    if evidence.p_value <= alpha and low > 0 and low >= m:
        beyond = f", all of it at least the {m:g} that matters" if m else ""
        return Verdict.SELECTIVE, f"{evidence.score} is {value:.3f} above {evidence.control} ({span}{beyond})"
    if evidence.p_value <= alpha and low > 0 and high < m:
        return Verdict.NEGLIGIBLE, f"above {evidence.control}, but by less than the {m:g} that matters ({span})"
    if m > 0 and -m < low and high < m and evidence.unscored <= alpha:
        return Verdict.EQUIVALENT, f"within {m:g} of {evidence.control} either way ({span})"
    if high < 0 and evidence.p_lower <= alpha:
        return Verdict.WORSE, f"{evidence.control} scores {-value:.3f} higher ({span})"
    return Verdict.INCONCLUSIVE, _undecided(evidence, alpha, m, span)


def _too_small_a_design(evidence: Evidence, alpha: float) -> str:
    needed = math.ceil(1 / alpha - 1e-9)
    if evidence.relabelings is not None:
        tied = round(evidence.p_floor * evidence.relabelings)
        ties = f", {tied} of which tie at the top or have no score" if tied > 1 else ""
        return (
            f"the design cannot decide: it has {evidence.relabelings} distinct {evidence.what}{ties}, so p is never "
            f"below {evidence.p_floor:.3g}; at alpha {alpha:g} at least {needed * tied} are needed, that is, more units"
        )
    return (
        f"the design cannot decide: p is never below {evidence.p_floor:.3g}; "
        f"at alpha {alpha:g} at least {needed - 1} draws are needed"
    )


def _undecided(evidence: Evidence, alpha: float, m: float, span: str) -> str:
    error, value = evidence.selectivity.standard_error, evidence.selectivity.value
    if evidence.unscored > alpha:
        share = f"{100 * evidence.unscored:.3g}%"
        return f"{share} of the draws have no score, which is more than alpha {alpha:g} lets pass"
    if math.isnan(error) and evidence.unit == "folds":
        return (
            "there is no interval: the score is one of the finding alone, so that folds are its replicates; give at "
            "least two whose findings differ"
        )
    if math.isnan(error) and (evidence.selectivity.df >= 1 or evidence.constant):
        return (
            "there is no interval: no unit changes the score of a fold, as where every row is predicted alike, or all "
            "are predicted right; use a metric of ranks (roc_auc, average_precision), or more folds"
        )
    if math.isnan(error):
        return "the design allows no interval: each fold needs at least two units, so use fewer folds or more units"
    words = f"{'p' if evidence.test else 'rank share'} = {evidence.p_value:.3g}, {span}"
    margin = value - m if value > m else value
    more = _more_draws(evidence, alpha, margin)
    if more:
        return f"{words}; {more}"
    if error > 0 and margin > 0:
        needed = math.ceil(evidence.n_units * ((-ndtri(alpha) - ndtri(0.2)) * error / margin) ** 2)  # for power .8
        if evidence.n_units < needed <= _FAR * evidence.n_units:
            more = f"about {needed} {evidence.unit} would decide (now {evidence.n_units})"
            return f"{words}; if the effect is as seen, {more}"
    return f"{words}; not distinguished from {evidence.control}"


def _more_draws(evidence: Evidence, alpha: float, margin: float) -> str:
    """Return how many draws would decide, where it is for want of draws that nothing is decided; else nothing."""
    if evidence.draws is None or margin <= 0:
        return ""
    draws, needed = evidence.draws, 0
    above = round(evidence.p_value * (draws + 1)) - 1  # draws that score as much
    if evidence.p_value > alpha:
        rate = above / draws
        if rate >= alpha:
            return ""  # more draws would show the same rate
        needed = math.ceil((1 - alpha) / (alpha - rate) - 1e-9)
    error, most = evidence.selectivity.standard_error, margin / (-ndtri(alpha) - ndtri(0.2))  # for power .8
    if error > most:
        room = most**2 - (error**2 - evidence.of_draws)
        if room <= 0:
            return ""  # units are too few, whatever the draws
        needed = max(needed, math.ceil(evidence.of_draws * draws / room))
    if not draws < needed <= _FAR * draws:
        return ""
    seen = f"{above} of {draws} draws score as much; " if evidence.p_value > alpha else ""
    return f"{seen}if all is as seen, about {needed} draws would decide (now {draws})"


def judge_claim(comparisons: Sequence[Comparison], alpha: float, smallest_effect: float) -> tuple[ClaimVerdict, str]:
    """Return the verdict of the claim over its battery of controls, and its reason.

    It holds if selective against every control (intersection–union: no correction). It fails if, at
    alpha/k for k controls, some comparison is surely below the smallest effect.
    """
    if all(comparison.verdict is Verdict.SELECTIVE for comparison in comparisons):
        worst = max(comparisons, key=lambda comparison: comparison.p_value)
        return ClaimVerdict.HOLDS, (
            f"selective against {'every control' if len(comparisons) > 1 else worst.control}; "
            f"the largest {'rank share' if worst.inference == 'ensemble' else 'p'} is {worst.p_value:.3g}, "
            f"of {worst.control}"
        )
    failing = [c.control for c in comparisons if _surely_below(c, alpha / len(comparisons), smallest_effect)]
    if failing:
        return ClaimVerdict.FAILS, f"surely below what was claimed against {', '.join(failing)}"
    open_ones = [c.control for c in comparisons if c.verdict is not Verdict.SELECTIVE]
    return ClaimVerdict.UNDECIDED, f"not shown to be selective against {', '.join(open_ones)}"


def unscored(scores: np.ndarray) -> float:
    """Return the share of draws without a score."""
    return float(np.isnan(scores).mean())


def _surely_below(comparison: Comparison, alpha: float, smallest_effect: float) -> bool:
    from controls.stats.interval import bounds

    high = bounds(comparison.selectivity, alpha)[1]
    if not high < smallest_effect or unscored(comparison.control_scores) > alpha:
        return False
    return smallest_effect > 0 or comparison.p_lower <= alpha


def licensed(verdicts: Sequence[Verdict], claim_ps: Sequence[float], alpha: float) -> list[bool]:
    """Return which single sentences may be said: all where the claim holds, else those that survive Holm."""
    if all(verdict is Verdict.SELECTIVE for verdict in verdicts):
        return [True] * len(verdicts)
    from controls.stats.multiple import adjust

    adjusted = adjust(np.asarray(claim_ps), "holm")
    return [v is Verdict.SELECTIVE and bool(p <= alpha) for v, p in zip(verdicts, adjusted, strict=True)]
