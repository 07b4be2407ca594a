"""The calibration's table for the terminal, and its docs page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from controls.testing.calibrate.counts import Cell

Judged = Sequence[tuple[Cell, bool]]

_INTRO = """# Calibration

Counted in worlds where the right answer is known, by `make calibrate`, which writes this page. Every
count is judged by a binomial test at level {level:.2g} ({n} cells share .01). Nothing is re-seeded.
"""

_PITFALLS = """
## False alarms

Labels and activations have nothing to do with each other in any of these worlds, so every p at or
below alpha is a false alarm. Left, what people often do; right, what `controls` does instead. The
worlds are `controls.ground_truth.NullDocuments`; a ridge probe is scored by AUC; 99 draws (19 where
features are selected; all 20 relabelings for six documents).

| world | common practice | false alarms | instead | false alarms (95%) | level | |
|---|---|---|---|---|---|---|
"""

_COVERAGE = """
## Coverage of the 95% interval of the selectivity

Truth in closed form (`controls.ground_truth.GaussianDocuments`): the same fitted models on new
documents, drawn labels being shuffled within those. 30 documents have lognormal sizes of log-scale
spread 1 (must not be below .93), 200 have spread .5 (must not be below .95). Intervals hold the variance
over units, that of few draws, and what folds share.

| setting | interval | coverage (95%) | |
|---|---|---|---|
"""

_FAULT = """
## A planted fault

Resampling tokens as if they were independent, the usual percentile bootstrap, must be seen to fail.

| setting | fault | share of misses (95%), nominal .05 | seen |
|---|---|---|---|
"""

_EXPECTED = """
## "fitted" and "expected"

`target="fitted"` speaks of these fitted models on new units; `target="expected"` of the procedure at
this sample size on new data. The spread below is the standard deviation of the estimate over samples,
which is what "expected" has to cover; "fitted" is narrower wherever training units matter, and covers
the other target as the last column says.

| setting | spread over samples | mean s.e., fitted | mean s.e., expected | fitted interval covers expected truth |
|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Difference:
    """By how much the two targets differ in one setting."""

    name: str
    spread: float
    fitted_error: float
    expected_error: float
    fitted_covers: float


def as_table(judged: Judged) -> Any:
    """Return the counts as a rich table."""
    from rich.table import Table

    table = Table(title="Calibration")
    for column in ("", "world", "what", "rate", "95%", "right", "passed"):
        table.add_column(column)
    for cell, passed in judged:
        low, high = cell.interval
        right = "" if cell.kind == "any" else f"{cell.kind} {cell.rate:g}"
        span = f"{low:.3f}–{high:.3f}"
        table.add_row(cell.table, cell.name, cell.setting, f"{cell.measured:.3f}", span, right, _mark(passed))
    return table


def as_markdown(judged: Judged, level: float, differences: Sequence[Difference]) -> str:
    """Return the docs page."""
    by_table: dict[str, list[tuple[Cell, bool]]] = {"naive": [], "ours": [], "coverage": [], "fault": []}
    for cell, passed in judged:
        by_table[cell.table].append((cell, passed))
    page = _INTRO.format(level=level, n=len(judged)) + _PITFALLS
    for (naive, _), (ours, passed) in zip(by_table["naive"], by_table["ours"], strict=True):
        page += (
            f"| {ours.name} | {naive.setting} | {naive.measured:.3f} | `{ours.setting}` | {_rate(ours)} "
            f"| {ours.kind} {ours.rate:g} | {_mark(passed)} |\n"
        )
    page += f"\n{by_table['ours'][0][0].repetitions} repetitions a row.\n" + _COVERAGE
    for cell, passed in by_table["coverage"]:
        page += f"| {cell.name} | {cell.setting} | {_rate(cell)} of {cell.repetitions} | {_mark(passed)} |\n"
    page += _FAULT
    for cell, passed in by_table["fault"]:
        page += f"| {cell.name} | {cell.setting} | {_rate(cell)} | {_mark(passed)} |\n"
    page += _EXPECTED
    for row in differences:
        page += (
            f"| {row.name} | {row.spread:.4f} | {row.fitted_error:.4f} | {row.expected_error:.4f} "
            f"| {row.fitted_covers:.3f} |\n"
        )
    return page


def _rate(cell: Cell) -> str:
    low, high = cell.interval
    return f"{cell.measured:.3f} ({low:.3f}–{high:.3f})"


def _mark(passed: bool) -> str:
    return "passed" if passed else "**MISSED**"
