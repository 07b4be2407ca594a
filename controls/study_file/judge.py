"""What a study file's claims come to: corrected for their number, and as an exit code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import final

from controls.core.result import ClaimVerdict, Result, Sweep
from controls.experiment import correct
from controls.report.format import probability

HOLD, FAILED, UNDECIDED = 0, 1, 2  # exit codes

_METHODS = {"holm": "Holm", "bh": "Benjamini–Hochberg", "max-t": "max-T"}


@final
@dataclass(frozen=True)
class Judged:
    """A claim after correction."""

    name: str
    line: int  # of the study file
    adjusted_p: float  # the p that the claim needs, adjusted for the number of claims
    result: Result  # its verdict is that after correction


def judge(records: Mapping[str, Result | Sweep], lines: Mapping[str, int], correction: str) -> tuple[Judged, ...]:
    """Return every claim with its verdict after correction.

    A claim that holds by itself, and whose adjusted p is above its alpha, becomes undecided. A claim
    that fails, fails by itself.

    Parameters
    ----------
    records : mapping of claims to what was measured
        A sweep stands for one claim at each site.
    lines : mapping of claims to lines of the study file
    correction : {"holm", "bh", "none", "max-t"}
        "max-t" is for one sweep.
    """
    results = _by_name(records)
    if correction == "max-t":
        adjusted = _over_sites(records)
    elif correction == "none":
        adjusted = {name: max(each.claim_p for each in result.comparisons) for name, result in results.items()}
    else:
        adjusted = correct(results, correction)
    return tuple(
        Judged(name, line, adjusted[name], _judged(result, adjusted[name], correction, len(results)))
        for (name, result), line in zip(results.items(), _repeated(records, lines), strict=True)
    )


def exit_code(claims: Sequence[Judged]) -> int:
    """Return 1 where a claim failed, else 2 where one is undecided, else 0."""
    verdicts = {claim.result.verdict for claim in claims}
    if ClaimVerdict.FAILS in verdicts:
        return FAILED
    return UNDECIDED if ClaimVerdict.UNDECIDED in verdicts else HOLD


def _by_name(records: Mapping[str, Result | Sweep]) -> dict[str, Result]:
    named: dict[str, Result] = {}
    for name, record in records.items():
        if isinstance(record, Result):
            named[name] = record
        else:
            named.update({f"{name} at {site}": result for site, result in record.results.items()})
    return {name: replace(result, title=name) for name, result in named.items()}


def _repeated(records: Mapping[str, Result | Sweep], lines: Mapping[str, int]) -> list[int]:
    """Return the line of every claim; a sweep's line for each of its sites."""
    return [
        lines[name]
        for name, record in records.items()
        for _ in (record.results if isinstance(record, Sweep) else (None,))
    ]


def _over_sites(records: Mapping[str, Result | Sweep]) -> dict[str, float]:
    """Return, for each site, the largest max-T p over controls; no less than what the bounds need."""
    return {
        f"{name} at {site}": max(
            max(comparison.claim_p, sweep.adjusted_p[comparison.control][site]) for comparison in result.comparisons
        )
        for name, sweep in records.items()
        if isinstance(sweep, Sweep)
        for site, result in sweep.results.items()
    }


def _judged(result: Result, adjusted: float, correction: str, count: int) -> Result:
    if result.verdict is not ClaimVerdict.HOLDS or adjusted <= result.alpha:
        return result
    reason = (
        f"holds by itself, but the p it needs is {probability(adjusted)} after correction for {count} claims "
        f"({_METHODS[correction]}), above alpha {probability(result.alpha)}"
    )
    silent = tuple(replace(comparison, licensed=False) for comparison in result.comparisons)
    return replace(result, verdict=ClaimVerdict.UNDECIDED, reason=reason, comparisons=silent)
