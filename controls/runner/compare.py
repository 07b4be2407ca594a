"""From what every draw scored to comparisons and their verdicts."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from controls.core.control import Control
from controls.core.exactness import LEVEL, fold_trace
from controls.core.result import Comparison, Estimate, Verdict
from controls.core.rng import stream
from controls.core.study import Study
from controls.runner.evaluate import Evaluator
from controls.runner.execute import Drawn, Run
from controls.runner.expected import refitted_deviations
from controls.runner.folds import FixedFolds
from controls.runner.plan import Plan, PlannedControl
from controls.stats.interval import FEW_UNITS, bounds, estimate, least_error, level_reaching
from controls.stats.pvalue import p_values, tie_tolerance
from controls.stats.verdict import Evidence, judge, licensed


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
    labels = evaluator.problem.labels
    sets = [labels[:, None], *(drawn.labels for drawn in run.drawn if drawn.labels is not None)]
    observed, *refitted = refitted_deviations(evaluator, sets)
    return Uncertainty(observed, tuple(refitted), len(observed) - 1, True)


def compare_all(study: Study, plan: Plan, run: Run, evaluator: Evaluator) -> tuple[Estimate, tuple[Comparison, ...]]:
    """Return the score's estimate and one comparison per control."""
    spread = uncertainty(study, run, evaluator)
    score = float(run.observed.scores[0])
    names = _distinct_names(plan)
    comparisons = [
        _compare(study, planned, drawn, spread, deviations, score=score, name=name, run=run, evaluator=evaluator)
        for planned, drawn, deviations, name in zip(plan.controls, run.drawn, spread.controls, names, strict=True)
    ]
    effect = max(abs(comparison.selectivity.value) for comparison in comparisons)
    own = estimate(
        score,
        spread.observed,
        spread.df,
        target=study.target,
        approximate=spread.approximate,
        least_error=least_error(effect, evaluator.problem.n_units),
    )
    may_say = licensed([c.verdict for c in comparisons], [c.claim_p for c in comparisons], study.alpha)
    return own, tuple(replace(c, licensed=ok) for c, ok in zip(comparisons, may_say, strict=True))


def _compare(
    study: Study,
    planned: PlannedControl,
    drawn: Drawn,
    spread: Uncertainty,
    deviations: np.ndarray,
    *,
    score: float,
    name: str,
    run: Run,
    evaluator: Evaluator,
) -> Comparison:
    control, problem = planned.control, evaluator.problem
    p = p_values(
        score,
        drawn.scores,
        tolerance=tie_tolerance(score, run.tolerance),
        enumerated=planned.enumerated,
        log_relabelings=planned.log_relabelings,
    )
    mean = float(np.nanmean(drawn.scores)) if not np.isnan(drawn.scores).all() else math.nan
    selectivity = estimate(
        score - mean,
        spread.observed - deviations,
        spread.df,
        target=study.target,
        monte_carlo=_monte_carlo(drawn.scores, planned.enumerated),
        approximate=spread.approximate,
        least_error=least_error(score - mean, problem.n_units),
    )
    ends = bounds(selectivity, study.alpha)
    relabelings = planned.draws if planned.enumerated else None
    evidence = Evidence(selectivity, ends, p.upper, p.lower, p.floor, problem.n_units, relabelings)
    verdict, reason = judge(evidence, study.alpha, study.smallest_effect)
    caveats = _caveats(study, control, evaluator, drawn)
    exact = control.inference == "exact" and not caveats.withdrawn
    return Comparison(
        control=name,
        description=planned.description,
        level=control.level,
        score=score,
        control_scores=drawn.scores,
        control_mean=mean,
        selectivity=selectivity,
        bounds=ends,
        p_value=p.upper,
        p_lower=p.lower,
        p_floor=p.floor,
        p_interval=p.interval,
        claim_p=max(p.upper, level_reaching(selectivity, study.smallest_effect)),
        draws=planned.draws,
        enumerated=planned.enumerated,
        log_relabelings=planned.log_relabelings,
        inference="exact" if exact else "ensemble",
        caveats=caveats.words,
        verdict=verdict,
        reason=reason,
        preserves=tuple(kept.words for kept in control.preserves),
        destroys=tuple(gone.words for gone in control.destroys),
        null=control.null,
        licenses=_WITHDRAWN if caveats.withdrawn else control.licenses,
        licensed=verdict is Verdict.SELECTIVE,
        integrity=_integrity(control, evaluator),
    )


def _monte_carlo(scores: np.ndarray, enumerated: bool) -> tuple[float, float]:
    """Return the variance of the mean over draws, and its degrees of freedom; zero where all were enumerated."""
    fine = scores[~np.isnan(scores)]
    if enumerated:
        return 0.0, 1.0
    if len(fine) < 2:
        return math.nan, 1.0
    return float(fine.var(ddof=1) / len(fine)), len(fine) - 1.0


_FOLLOWING = (
    "the folds given share out the observed labels in a way that they do not share out rearranged ones, as folds made "
    "from the labels do; pass the splitter itself, which then splits every draw by its own labels"
)


_WITHDRAWN = (
    "The score is more than labels rearranged in this way give; since rearranging undoes more than the null says (see "
    "the caveats), not that the activations carry information about the labels."
)


@dataclass(frozen=True)
class _Caveats:
    words: tuple[str, ...]
    withdrawn: bool


def _caveats(study: Study, control: Control, evaluator: Evaluator, drawn: Drawn) -> _Caveats:
    problem = evaluator.problem
    found = problem.memo(  # the same at every site of a sweep
        ("caveats", control, study.seed), lambda: control.caveats(problem, stream(study.seed, "caveats"))
    )
    orbit = control.orbit(problem)
    if isinstance(evaluator.folds, FixedFolds) and orbit is not None:
        trace = fold_trace(problem, orbit, stream(study.seed, "caveats", "folds"), evaluator.folds.splits)
        if trace.p <= LEVEL:
            found = (*found, f"{_FOLLOWING} (p = {trace.p:.2g})")
    broken = int(np.isnan(drawn.scores).sum())
    words = list(found)
    if broken:
        words.append(f"{broken} draws had no defined score; they count as if they had beaten the observed one")
    return _Caveats(tuple(words), bool(found))


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
