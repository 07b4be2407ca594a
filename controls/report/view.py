"""What a page shows of a record, in words ready to print: templates only lay it out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

from controls.core.result import Comparison, Result, Sweep
from controls.report import words
from controls.report.format import (
    MISSING,
    count,
    count_of_log,
    duration,
    interval,
    number,
    percent,
    probability,
)

# A tone decides a colour and a sign, so that colour alone never says anything.
SIGNS = {"good": "✓", "bad": "✕", "even": "=", "open": "○"}
Facts = tuple[tuple[str, str], ...]


@final
@dataclass(frozen=True)
class Row:
    """One comparison in a table; ``anchor`` is the section that tells more, where there is one."""

    name: str
    anchor: str
    score: str
    mean: str
    selectivity: str
    p: str
    adjusted_p: str
    verdict: str
    tone: str


@final
@dataclass(frozen=True)
class ComparisonView:
    """One comparison in full."""

    row: Row
    description: str
    level: str
    is_ensemble: bool
    inference: str
    reason: str
    p: str
    preserves: tuple[str, ...]
    destroys: tuple[str, ...]
    null: str
    licenses: str
    licensed: bool
    caveats: tuple[str, ...]
    failures: tuple[str, ...]
    figures: Facts
    integrity: Facts
    proof: Facts


@final
@dataclass(frozen=True)
class ResultView:
    """One result in full."""

    title: str
    anchor: str
    claim: str
    tone: str
    reason: str
    score: str
    units: str
    level: str
    notes: tuple[str, ...]
    comparisons: tuple[ComparisonView, ...]
    footnotes: tuple[str, ...]
    design: Facts
    svg: str = ""
    caption: str = ""
    is_sweep: bool = field(default=False, init=False)


@final
@dataclass(frozen=True)
class SweepView:
    """A sweep: what it says, a table per control, and every site's result."""

    title: str
    anchor: str
    lines: tuple[str, ...]
    units: str
    metric: str
    level: str
    notes: tuple[str, ...]
    tables: tuple[tuple[str, tuple[Row, ...]], ...]
    footnotes: tuple[str, ...]
    results: Mapping[str, ResultView]
    svg: str = ""
    caption: str = ""
    is_sweep: bool = field(default=True, init=False)


def result_view(result: Result, anchor: str) -> ResultView:
    """Return what a page shows of a result, without its figure."""
    return ResultView(
        title=words.title_of(result),
        anchor=anchor,
        claim=words.CLAIMS[result.verdict],
        tone=words.tone_of(result.verdict),
        reason=words.sentence(result.reason),
        score=words.score_words(result),
        units=words.units_words(result),
        level=percent(result.score_estimate.level),
        notes=result.notes,
        comparisons=tuple(
            _comparison_view(result, comparison, f"{anchor}-c{place}")
            for place, comparison in enumerate(result.comparisons, start=1)
        ),
        footnotes=words.footnotes([result]),
        design=_design(result),
    )


def sweep_view(sweep: Sweep, anchor: str) -> SweepView:
    """Return what a page shows of a sweep, without its figure."""
    results = list(sweep.results.values())
    views = {
        site: result_view(result, f"{anchor}-s{place}")
        for place, (site, result) in enumerate(sweep.results.items(), start=1)
    }
    return SweepView(
        title=words.title_of(sweep),
        anchor=anchor,
        lines=words.sweep_lines(sweep),
        units=words.units_words(results[0]) if results else "",
        metric=results[0].metric if results else "",
        level=views[next(iter(views))].level if views else "",
        notes=tuple(dict.fromkeys(note for result in results for note in result.notes)),
        tables=tuple((control, _sweep_rows(sweep, control, views)) for control in words.controls_of(sweep)),
        footnotes=words.footnotes(results),
        results=views,
    )


def _sweep_rows(sweep: Sweep, control: str, views: Mapping[str, ResultView]) -> tuple[Row, ...]:
    return tuple(
        _row(result, comparison, site, views[site].anchor, words.adjusted_short(sweep, control, site))
        for site, (result, comparison) in words.along_sites(sweep, control).items()
    )


def _row(result: Result, comparison: Comparison, name: str, anchor: str, adjusted_p: str = "") -> Row:
    decimals = words.decimals_of(result)
    return Row(
        name=name,
        anchor=anchor,
        score=number(result.score, decimals),
        mean=number(comparison.control_mean, decimals),
        selectivity=words.estimate_short(comparison.selectivity, decimals),
        p=words.p_short(comparison),
        adjusted_p=adjusted_p,
        verdict=str(comparison.verdict),
        tone=words.tone_of(comparison.verdict),
    )


def _comparison_view(result: Result, comparison: Comparison, anchor: str) -> ComparisonView:
    return ComparisonView(
        row=_row(result, comparison, comparison.control, anchor),
        description=comparison.description,
        level=comparison.level,
        is_ensemble=words.is_ensemble(comparison),
        inference=words.inference_words(comparison),
        reason=words.sentence(comparison.reason),
        p=words.p_long(comparison),
        preserves=comparison.preserves,
        destroys=comparison.destroys,
        null=comparison.null,
        licenses=comparison.licenses,
        licensed=comparison.licensed,
        caveats=comparison.caveats,
        failures=words.failure_lines(comparison),
        figures=_figures(result, comparison),
        integrity=tuple((name, _figure(value)) for name, value in comparison.integrity.items()),
        proof=_proof(comparison),
    )


def _figures(result: Result, comparison: Comparison) -> Facts:
    decimals, estimate = words.decimals_of(result), comparison.selectivity
    relabelings = comparison.log_relabelings
    paired = words.is_paired(comparison)
    return (
        ("Score", number(comparison.score, decimals)),
        ("Score of the other side" if paired else "Mean of the draws", number(comparison.control_mean, decimals)),
        ("Selectivity", words.estimate_short(estimate, decimals)),
        *_rescaled(result, comparison),
        (f"{percent(1 - 2 * result.alpha)} bounds", interval(*comparison.bounds, decimals)),
        ("Standard error", _with_df(estimate.standard_error, estimate.df, decimals)),
        ("Draws", words.draws_words(comparison)),
        (
            "Distinct swaps" if paired else "Distinct relabelings",
            "without end" if relabelings is None else count_of_log(relabelings),
        ),
        ("Lower-tail share" if words.is_ensemble(comparison) else "Lower-tail p", probability(comparison.p_lower)),
        ("Smallest alpha for SELECTIVE", probability(comparison.claim_p)),
    )


def _rescaled(result: Result, comparison: Comparison) -> Facts:
    if comparison.rescaled is None:
        return ()
    what = f"Of the way from control mean to {result.ceiling:g}"
    return ((what, words.estimate_short(comparison.rescaled, 2)),)


def _proof(comparison: Comparison) -> Facts:
    """Return the smallest and the largest of each figure by which draws prove themselves."""
    names = dict.fromkeys(name for proof in comparison.proofs for name in proof)
    spans = {name: [proof[name] for proof in comparison.proofs if name in proof] for name in names}
    return tuple((name, _span(min(values), max(values))) for name, values in spans.items())


def _span(low: float, high: float) -> str:
    return _figure(low) if low == high else f"{_figure(low)} to {_figure(high)}"


def _figure(value: float) -> str:
    if not math.isfinite(value):
        return MISSING
    return count(int(value)) if value == round(value) and abs(value) < 1e15 else f"{value:.4g}"


def _with_df(error: float, df: float, decimals: int) -> str:
    if math.isnan(error):
        return MISSING
    freedom = f", {df:.4g} degrees of freedom" if math.isfinite(df) else ""
    return number(error, decimals + 1) + freedom


def _design(result: Result) -> Facts:
    origin, decimals = result.provenance, words.decimals_of(result)
    return (
        ("Trainer", origin.trainer),
        ("Metric", result.metric),
        ("Rows and features", f"{count(origin.n)} × {count(origin.d)}"),
        ("Unit", f"{origin.unit}, {count(origin.n_units)} of them"),
        ("Folds", origin.folds),
        ("Score on each fold", ", ".join(number(score, decimals) for score in result.fold_scores)),
        ("Intervals speak of", _TARGETS.get(result.target, result.target)),
        ("alpha", f"{result.alpha:g}"),
        ("Smallest effect of interest", words.effect_words(result)),
        ("Plan", origin.plan),
        ("Seed", str(origin.seed)),
        ("Threads", str(origin.threads)),
        ("Started", origin.started),
        ("Took", duration(origin.seconds)),
        ("Draws are kept in", origin.store or "no file: no store was named, or it could not be written"),
        ("Key of the study", origin.study_key or "none: a part of it has no content of its own"),
        ("Key of the data", origin.data_key),
        ("Versions", ", ".join(f"{name} {version}" for name, version in origin.versions.items())),
    )


_TARGETS = {
    "fitted": "fitted: these fitted models on new units",
    "expected": "expected: the procedure at this sample size on new data",
}
