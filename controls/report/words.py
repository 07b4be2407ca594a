"""The sentences of a report: what a record says, in words true of exact tests, of ensembles and of pairs alike."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from controls.core.problem import ROWS
from controls.core.result import ClaimVerdict, Comparison, Estimate, Result, Sweep, Verdict
from controls.report.format import (
    MISSING,
    count,
    decimals_for,
    interval,
    number,
    percent,
    probability,
    probability_range,
)

APPROXIMATE = "≈ marks an approximate interval: there are few units, or its target is approximate by nature."
ENSEMBLE = (
    "A rank is the place of the score among the draws of a stated ensemble and itself; "
    "it is not a test of a null hypothesis."
)
CLAIMS = {
    ClaimVerdict.HOLDS: "The claim holds",
    ClaimVerdict.FAILS: "The claim fails",
    ClaimVerdict.UNDECIDED: "Undecided",
}
_INFERENCES = {
    "exact": "Exact: under the null hypothesis, the problem and its draws are exchangeable.",
    "ensemble": "Ensemble: the score is placed among draws of a stated ensemble.",
    "paired": "Paired: under the null hypothesis, the two scores of each unit may be swapped.",
}
_SHOWN_WAYS, _SHOWN_DRAWS = 5, 10  # of failures
_TONES = {
    Verdict.SELECTIVE: "good",
    Verdict.WORSE: "bad",
    Verdict.NEGLIGIBLE: "even",
    Verdict.EQUIVALENT: "even",
    ClaimVerdict.HOLDS: "good",
    ClaimVerdict.FAILS: "bad",
}


def tone_of(verdict: Verdict | ClaimVerdict) -> str:
    """Return how a verdict looks: good, bad, even, or open where nothing is decided."""
    return _TONES.get(verdict, "open")


def title_of(record: Result | Sweep) -> str:
    """Return a record's title, or what it is where it has none."""
    if record.title or isinstance(record, Result):
        return record.title or "Result"
    return f"Sweep over {len(record.results)} sites"


def decimals_of(result: Result) -> int:
    """Return the decimals in which a result's scores are shown."""
    return decimals_for([result.score, *(comparison.control_mean for comparison in result.comparisons)])


def is_ensemble(comparison: Comparison) -> bool:
    """Whether p is a rank among draws of an ensemble, not the p-value of a test."""
    return comparison.inference == "ensemble"


def is_paired(comparison: Comparison) -> bool:
    """Whether there is one draw, which was compared unit by unit."""
    return comparison.inference == "paired"


def rank_of(comparison: Comparison) -> tuple[int, int] | None:
    """Return the score's place from the top, and among how many; None where p is not available."""
    if math.isnan(comparison.p_value):
        return None
    among = comparison.draws + 1
    if comparison.enumerated and comparison.log_relabelings is not None:
        among = round(math.exp(comparison.log_relabelings))
    return max(1, round(comparison.p_value * among)), among


def p_short(comparison: Comparison) -> str:
    """Return p with its floor, or the rank in an ensemble, as a table shows it."""
    rank = rank_of(comparison)
    if rank is None:
        return MISSING
    if is_ensemble(comparison):
        return f"ranks {count(rank[0])} of {count(rank[1])}"
    return f"{probability(comparison.p_value)} (floor {probability(comparison.p_floor)})"


def p_long(comparison: Comparison) -> str:
    """Return p, or the rank, with its floor and its interval, in sentences."""
    rank = rank_of(comparison)
    if rank is None:
        return f"No p-value is available; this design can give none under {probability(comparison.p_floor)}."
    share, floor = probability(comparison.p_value), probability(comparison.p_floor)
    if is_ensemble(comparison):
        return (
            f"The score ranks {count(rank[0])} of {count(rank[1])} among the draws of this ensemble and itself, "
            f"a share of {share} (floor {floor}). It is not a test of a null hypothesis. "
            f"{p_interval_words(comparison)}"
        )
    if is_paired(comparison):
        return (
            f"p = {share}, one-sided, by swapping the two scores unit by unit; this design can give no p under "
            f"{floor}. {p_interval_words(comparison)}"
        )
    return f"p = {share}, one-sided; this design can give no p under {floor}. {p_interval_words(comparison)}"


def p_interval_words(comparison: Comparison) -> str:
    """Return the interval of the exceedance rate in a sentence, or why there is none."""
    if comparison.enumerated:
        what = "swap was made" if is_paired(comparison) else "distinct relabeling was scored"
        return f"Every {what} once, so nothing was left to chance."
    if comparison.p_interval is None or math.isnan(comparison.p_interval[0]):
        return f"An interval of the exceedance rate is {MISSING}."
    made = "swaps" if is_paired(comparison) else "draws"
    return (
        f"By the {made} made, the exceedance rate lies in {probability_range(*comparison.p_interval)} (95% interval)."
    )


def estimate_short(estimate: Estimate, decimals: int) -> str:
    """Return a value with its interval, as a table shows it."""
    ends = interval(estimate.low, estimate.high, decimals, approximate=estimate.approximate)
    if math.isnan(estimate.value):
        return MISSING
    return f"{number(estimate.value, decimals)} {ends if ends != MISSING else f'(interval {MISSING})'}"


def rescaled_words(comparison: Comparison, ceiling: float | None) -> str:
    """Return how far the score is on the way from the control's mean to the ceiling, for controls not on labels."""
    if comparison.rescaled is None or ceiling is None or comparison.level == "labels":
        return ""
    return f"Of the way from the control's mean to {ceiling:g}: {estimate_short(comparison.rescaled, 2)}."


def score_words(result: Result) -> str:
    """Return the metric, the score and its interval in words."""
    decimals, estimate = decimals_of(result), result.score_estimate
    ends = interval(estimate.low, estimate.high, decimals, approximate=estimate.approximate)
    return f"{result.metric} {number(result.score, decimals)}, {percent(estimate.level)} interval {ends}"


def units_words(result: Result) -> str:
    """Return how many rows and units there were; says so where rows were taken as units."""
    origin = result.provenance
    rows = f"{count(origin.n)} row{'' if origin.n == 1 else 's'}"
    if origin.unit == ROWS:
        return f"{rows}, each taken as an independent unit"
    return f"{rows} in {count(origin.n_units)} independent units ({origin.unit})"


def effect_words(result: Result) -> str:
    """Return the smallest effect of interest in words."""
    if result.smallest_effect == 0:
        return "none stated"
    return f"{result.smallest_effect:g}"


def draws_words(comparison: Comparison) -> str:
    """Return how many draws there were, and how many of them failed or had no score."""
    failed = len(comparison.failures)
    undefined = sum(math.isnan(score) for score in comparison.control_scores) - failed
    if is_paired(comparison):
        return "one paired comparison" + (", without a defined score" if undefined else "")
    kind = "relabeling" if comparison.enumerated else "draw"
    plural = "" if comparison.draws == 1 else "s"
    what = f"{'all ' if comparison.enumerated else ''}{count(comparison.draws)} {kind}{plural}"
    lost = [f"{count(failed)} on which the trainer failed"] if failed else []
    lost += [f"{count(undefined)} without a defined score"] if undefined else []
    return what + (f", {' and '.join(lost)}" if lost else "")


def failure_lines(comparison: Comparison) -> tuple[str, ...]:
    """Return how the trainer failed, a line for each way, the most frequent first, with its first draws."""
    draws_by_way: dict[str, list[int]] = {}
    for draw, way in comparison.failures:
        draws_by_way.setdefault(way, []).append(draw)
    ways = sorted(draws_by_way.items(), key=lambda item: -len(item[1]))
    lines = [f"{_listed_draws(draws)}: {sentence(way)}" for way, draws in ways[:_SHOWN_WAYS]]
    return (*lines, *([f"And in {count(len(ways) - _SHOWN_WAYS)} other ways."] if len(ways) > _SHOWN_WAYS else []))


def _listed_draws(draws: Sequence[int]) -> str:
    listed = ", ".join(map(str, draws[:_SHOWN_DRAWS]))
    more = f" and {count(len(draws) - _SHOWN_DRAWS)} more" if len(draws) > _SHOWN_DRAWS else ""
    return f"Draw{'' if len(draws) == 1 else 's'} {listed}{more}"


def inference_words(comparison: Comparison) -> str:
    """Return what the kind of inference rests on."""
    return _INFERENCES[comparison.inference]


def sentence(text: str) -> str:
    """Return a text as a sentence: with a capital letter, except for a symbol such as p, and a full stop."""
    said = text.strip()
    if said[1:2].isalpha():
        said = said[:1].upper() + said[1:]
    return said if not said or said.endswith((".", "!", "?")) else f"{said}."


def claim_words(result: Result) -> str:
    """Return why a claim got its verdict; where it does not hold, with what each open comparison says.

    That names the draws or units that are needed, where the comparison names them.
    """
    said = [sentence(result.reason)]
    if result.verdict is not ClaimVerdict.HOLDS:
        opened = [part for part in result.comparisons if part.verdict is not Verdict.SELECTIVE]
        said += [f"{part.control}: {sentence(part.reason)}" for part in opened]
    return " ".join(said)


def adjusted_lines(adjusted_p: Mapping[str, float], n_sites: int) -> tuple[str, ...]:
    """Return the p of each control at one site, corrected over the sites, as a line; none where there are none."""
    if not adjusted_p:
        return ()
    listed = "; ".join(f"{control} {probability(p)}" for control, p in adjusted_p.items())
    return (f"Adjusted p over {count(n_sites)} site{'' if n_sites == 1 else 's'}: {listed}.",)


def footnotes(results: Sequence[Result]) -> tuple[str, ...]:
    """Return the explanations that the tables of these results need."""
    comparisons = [comparison for result in results for comparison in result.comparisons]
    estimates = [*(c.selectivity for c in comparisons), *(result.score_estimate for result in results)]
    needed = ((APPROXIMATE, any(e.approximate for e in estimates)), (ENSEMBLE, any(map(is_ensemble, comparisons))))
    return tuple(words for words, shown in needed if shown)


def adjusted_short(sweep: Sweep, control: str, site: str) -> str:
    """Return the p of a control at a site, corrected over the sites."""
    return probability(sweep.adjusted_p.get(control, {}).get(site, math.nan))


def controls_of(sweep: Sweep) -> list[str]:
    """Return the names of all controls of a sweep, in order."""
    return list(dict.fromkeys(c.control for result in sweep.results.values() for c in result.comparisons))


def along_sites(sweep: Sweep, control: str) -> dict[str, tuple[Result, Comparison]]:
    """Return the result and the comparison with a control at each site that has it."""
    return {
        site: (result, comparison)
        for site, result in sweep.results.items()
        for comparison in result.comparisons
        if comparison.control == control
    }


def sweep_lines(sweep: Sweep) -> tuple[str, ...]:
    """Return what a sweep says: per control the sites that pass after correction, then the claims."""
    lines = []
    for control, by_site in sweep.adjusted_p.items():
        passed = [site for site in sweep.results if by_site.get(site, math.nan) <= sweep.alpha]
        lines.append(f"{control}: adjusted p ≤ {probability(sweep.alpha)} at {_sites(passed, len(sweep.results))}.")
    for verdict in dict.fromkeys(result.verdict for result in sweep.results.values()):
        held = [site for site, result in sweep.results.items() if result.verdict == verdict]
        lines.append(f"Claim {verdict} at {_sites(held, len(sweep.results))}, each site taken alone.")
    return tuple(lines)


def _sites(names: Sequence[str], total: int) -> str:
    listed = f": {', '.join(names)}" if 0 < len(names) < total else ""
    return f"{len(names)} of {total} site{'' if total == 1 else 's'}{listed}"
