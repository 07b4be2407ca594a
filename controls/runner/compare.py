"""From what every draw scored to comparisons and their verdicts."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from controls.core.control import Control
from controls.core.result import Comparison, Estimate, Verdict
from controls.core.study import Study
from controls.runner.caveats import find_caveats
from controls.runner.collected import Drawn
from controls.runner.evaluate import Evaluator
from controls.runner.execute import Run, tie_width
from controls.runner.paired import Pair, beside_labels, compare_pair
from controls.runner.plan import Plan, PlannedControl
from controls.stats.interval import FEW_UNITS, bounds, estimate, least_error, level_reaching
from controls.stats.pvalue import PValues, p_values
from controls.stats.verdict import Evidence, judge, licensed, unscored


@dataclass(frozen=True)
class Uncertainty:
    """Deviations of the observed score and of each control's mean, for the study's target."""

    observed: np.ndarray
    controls: tuple[np.ndarray, ...]
    df: float
    approximate: bool


def uncertainty(study: Study, run: Run, evaluator: Evaluator) -> Uncertainty:
    """Return deviations for the target: by unit for "fitted", refitted without groups of units for "expected"."""
    few = evaluator.problem.n_units < FEW_UNITS
    if study.target == "fitted":
        controls = tuple(drawn.deviations for drawn in run.drawn)
        return Uncertainty(run.observed.deviations[:, 0], controls, float(run.observed.df[0]), few)
    observed, *refitted = run.refitted
    return Uncertainty(observed, tuple(refitted), len(observed) - 1, True)


@dataclass(frozen=True)
class _Context:
    """What all comparisons of a study share."""

    study: Study
    run: Run
    evaluator: Evaluator
    spread: Uncertainty

    @property
    def score(self) -> float:
        return float(self.run.observed.scores[0])


def compare_all(study: Study, plan: Plan, run: Run, evaluator: Evaluator) -> tuple[Estimate, tuple[Comparison, ...]]:
    """Return the score's estimate and one comparison per control."""
    context = _Context(study, run, evaluator, uncertainty(study, run, evaluator))
    spread, comparisons = context.spread, []
    names = _distinct_names(plan)
    for planned, drawn, deviations, name in zip(plan.controls, run.drawn, spread.controls, names, strict=True):
        further = _further_variance(drawn, planned, study.target, loose=evaluator.metric.chance_depends_on_fit)
        selectivity = _selectivity(context, drawn, deviations, further)
        comparison = _compare(context, planned, drawn, selectivity, name)
        comparisons.append(replace(comparison, rescaled=_rescaled(context, drawn, deviations, further)))
    comparisons = beside_labels(comparisons, study.alpha, plan.n_folds)
    effect = max(abs(comparison.selectivity.value) for comparison in comparisons)
    own = estimate(
        context.score,
        spread.observed,
        spread.df,
        target=study.target,
        approximate=spread.approximate,
        least_error=_least_error(effect, evaluator),
    )
    may_say = licensed([c.verdict for c in comparisons], [c.claim_p for c in comparisons], study.alpha)
    return own, tuple(replace(c, licensed=ok) for c, ok in zip(comparisons, may_say, strict=True))


def _compare(context: _Context, planned: PlannedControl, drawn: Drawn, selectivity: Estimate, name: str) -> Comparison:
    study, evaluator = context.study, context.evaluator
    control, score = planned.control, context.score
    width = tie_width(context.run, planned)
    caveats = find_caveats(control, evaluator, study.seed, drawn, score=score, width=width)
    tested = _test(context, planned, drawn)
    p, inference = tested.p, "ensemble" if caveats.withdrawn else control.inference
    evidence = _evidence(context, planned, drawn, selectivity=selectivity, tested=tested, inference=inference)
    verdict, reason = judge(evidence, study.alpha, study.smallest_effect)
    return Comparison(
        control=name,
        description=planned.description,
        level=control.level,
        score=score,
        control_scores=drawn.scores,
        control_mean=_mean(drawn.scores),
        selectivity=selectivity,
        bounds=evidence.bounds,
        p_value=p.upper,
        p_lower=p.lower,
        p_floor=p.floor,
        p_interval=p.interval,
        claim_p=max(p.upper, level_reaching(selectivity, study.smallest_effect)),
        draws=planned.draws,
        enumerated=tested.enumerated,
        log_relabelings=tested.log_relabelings,
        inference=inference,
        caveats=(*caveats.words, *tested.caveats),
        verdict=verdict,
        reason=reason,
        preserves=tuple(kept.words for kept in control.preserves),
        destroys=tuple(gone.words for gone in control.destroys),
        null=control.null,
        licenses=caveats.licence(control),
        licensed=verdict is Verdict.SELECTIVE,
        integrity=_integrity(control, evaluator),
        failures=drawn.failures,
        proofs=drawn.proofs,
    )


def _evidence(
    context: _Context,
    planned: PlannedControl,
    drawn: Drawn,
    *,
    selectivity: Estimate,
    tested: _Tested,
    inference: str,
) -> Evidence:
    """Return what the verdict is made from."""
    by_rows = context.evaluator.metric.reads_rows
    return Evidence(
        selectivity,
        bounds(selectivity, context.study.alpha),
        tested.p.upper,
        tested.p.lower,
        tested.p.floor,
        context.evaluator.problem.n_units if by_rows else len(context.run.observed.fold_scores),
        tested.count,
        unit="units" if by_rows else "folds",
        test=inference != "ensemble",
        what="swaps" if planned.paired else "relabelings",
        unscored=0.0 if planned.paired else unscored(drawn.scores),
        constant=bool(np.any(context.run.observed.constant)),  # None is none
        draws=None if tested.enumerated or planned.paired else planned.draws,
        of_draws=_of_draws(drawn) if context.study.target == "fitted" else 0.0,
    )


def _of_draws(drawn: Drawn) -> float:
    """Return the variance that the control's mean has since draws are few."""
    fine = drawn.scores[~np.isnan(drawn.scores)]
    return float(fine.var(ddof=1)) / len(fine) if len(fine) > 1 else 0.0


@dataclass(frozen=True)
class _Tested:
    """The p-values of a comparison, and what they were counted among."""

    p: PValues
    enumerated: bool
    log_relabelings: float | None
    caveats: tuple[str, ...] = ()

    @property
    def count(self) -> int | None:
        """The number of relabelings (or swaps), where all were made."""
        return round(math.exp(self.log_relabelings or 0.0)) if self.enumerated else None


def _test(context: _Context, planned: PlannedControl, drawn: Drawn) -> _Tested:
    tolerance = tie_width(context.run, planned)
    if planned.paired:
        return _of_pair(compare_pair(context.run.observed, drawn, context.study.draws, context.study.seed, tolerance))
    p = p_values(
        context.score,
        drawn.scores,
        tolerance=tolerance,
        enumerated=planned.enumerated,
        log_relabelings=planned.log_relabelings,
    )
    return _Tested(p, planned.enumerated, planned.log_relabelings)


def _of_pair(pair: Pair) -> _Tested:
    return _Tested(pair.p, pair.enumerated, pair.n_blocks * math.log(2.0), pair.caveats)


def _selectivity(context: _Context, drawn: Drawn, deviations: np.ndarray, further: tuple[float, float]) -> Estimate:
    """Return the score minus the mean over the control's draws, with its interval."""
    value, spread = context.score - _mean(drawn.scores), context.spread
    return estimate(
        value,
        spread.observed - deviations,
        spread.df,
        target=context.study.target,
        further=further,
        approximate=spread.approximate,
        least_error=_least_error(value, context.evaluator),
    )


def _least_error(effect: float, evaluator: Evaluator) -> float:
    """Return the least standard error over units; none of a score in which units have no part."""
    return least_error(effect, evaluator.problem.n_units) if evaluator.metric.reads_rows else 0.0


def _rescaled(context: _Context, drawn: Drawn, deviations: np.ndarray, further: tuple[float, float]) -> Estimate | None:
    """Return (score − control mean) / (ceiling − control mean) with its interval, by its first derivatives.

    None where there is no ceiling, or no room below it beyond the error of the control's mean.
    """
    ceiling, mean = context.evaluator.metric.ceiling, _mean(drawn.scores)
    if ceiling is None or math.isnan(mean):
        return None
    room, spread = ceiling - mean, context.spread
    left = (ceiling - context.score) / room if room else math.nan  # the share that is still missing
    error = math.sqrt(float(np.square(deviations).sum()) + (further[0] if math.isfinite(further[0]) else 0.0))
    if not room > 3 * error:
        return None
    return estimate(
        1.0 - left,
        (spread.observed - deviations * left) / room,
        spread.df,
        target=context.study.target,
        further=(further[0] * (max(left, 1.0) / room) ** 2, further[1]),
        approximate=spread.approximate,
    )


def _mean(scores: np.ndarray) -> float:
    """Return the mean of the draws that have a score; NaN where none has."""
    return math.nan if np.isnan(scores).all() else float(np.nanmean(scores))


def _further_variance(
    drawn: Drawn, planned: PlannedControl, target: str, *, loose: bool = False
) -> tuple[float, float]:
    """Return the variance beyond that over units, and its degrees of freedom: of few draws, and of shared folds.

    Few draws: the variance of their mean, none where all relabelings were enumerated. Shared folds:
    a unit that is tested in one fold was trained on in the others, so that folds err together, which
    deviations cannot see. Under an exact null on labels the draws show it: their scores vary about
    one population value, by so much more than their deviations say. ``loose``: where that value goes
    by what was fitted, they may vary by less, and :func:`_twice_counted` is added at least.
    """
    fine = drawn.scores[~np.isnan(drawn.scores)]
    if len(fine) < 2:
        return (0.0, 1.0) if planned.enumerated or planned.paired else (math.nan, 1.0)
    spread = float(fine.var(ddof=1))
    of_draws = 0.0 if planned.enumerated else _of_draws(drawn)
    if target == "expected" or planned.control.inference != "exact":
        return of_draws, len(fine) - 1.0
    shared = max(spread - drawn.variance, _twice_counted(drawn, len(fine)) if loose else 0.0, 0.0)
    return of_draws + shared, len(fine) - 1.0


def _twice_counted(drawn: Drawn, count: int) -> float:
    """Return by how much shared folds add to the variance of a draw's error about its own fitted models.

    Where nothing can be read, the error of fold k is to first order a sum over pairs of a tested and
    a trained-on unit. Each pair of units in two folds is met twice, once each way, so the mean over
    folds varies twice as much as folds on their own would say (less, if h(i, j) is not h(j, i)). What folds say
    is the variance of deviations over draws, about what all draws have in common.
    """
    return (drawn.variance - float(np.square(drawn.deviations).sum())) * count / (count - 1)


def _integrity(control: Control, evaluator: Evaluator) -> dict[str, float]:
    """Return the control's figures about splits, as means over the folds."""
    splits = evaluator.folds.default()
    found = [control.integrity(evaluator.problem, train, test) for train, test in splits]
    return {name: float(np.mean([figures[name] for figures in found])) for name in found[0]}


def _distinct_names(plan: Plan) -> list[str]:
    """Return the controls' names; as typed where two share a name."""
    names = [planned.control.name for planned in plan.controls]
    return [
        name if names.count(name) == 1 else planned.description
        for name, planned in zip(names, plan.controls, strict=True)
    ]
