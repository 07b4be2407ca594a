"""The calibration in a terminal: progress while it runs, a table when it is done."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import groupby
from typing import Any

from controls.testing.calibrate.outcome import Judged, Outcome
from controls.testing.suite.case import Check

MISSED = "MISSED"
TOO_FEW = "TOO FEW"
COLUMNS = ("case", "what", "expected", "measured (95% interval)", "would fail", "")


def as_table(calibration: Judged) -> Any:
    """Return one row per check, grouped by case, as a rich table."""
    from rich.markup import escape
    from rich.table import Table

    caption = (
        "would fail: the nearest true rate that these repetitions would fail four times in five; "
        f"{TOO_FEW}: five points too many (of coverage, too few) would more often go unseen"
    )
    table = Table(title="Calibration", caption=caption)
    for column in COLUMNS:
        table.add_column(column, overflow="fold")
    for _, group in groupby(calibration.outcomes, key=lambda outcome: outcome.theme):
        for outcome in group:
            for k, (*words, word) in enumerate(rows(outcome, calibration.level)):
                name = outcome.case.name if k == 0 else ""
                table.add_row(*map(escape, (name, *words, word)), style="bold red" if word == MISSED else None)
        table.add_section()
    return table


def rows(outcome: Outcome, level: float) -> list[tuple[str, str, str, str, str]]:
    """Return what each check is about, expected, measured, which true rate would fail, and whether it passed."""
    if outcome.error:
        return [("error", "", outcome.error, "", MISSED)]
    return [
        (each.what, each.expected_words, each.measured_words, _visible(each, level), _mark(each, level))
        for each in outcome.checks
    ]


def _visible(check: Check, level: float) -> str:
    """Return the nearest true rate that would fail four times in five."""
    rate = check.visible(level)
    return "" if rate is None else f"{rate:.3f}"


def _mark(check: Check, level: float) -> str:
    """Return whether the check passed, and whether its repetitions are too few to say much."""
    if not check.judged:
        return ""
    if not check.passed(level):
        return MISSED
    return f"passed, {TOO_FEW}" if check.too_few(level) else "passed"


@contextmanager
def progress(total: int) -> Iterator[Callable[[Outcome], None]]:
    """Yield what is called with every outcome: a bar on a terminal, a line each elsewhere (standard error)."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        count = iter(range(1, total + 1))
        yield lambda outcome: print(f"controls: {next(count)}/{total} {_done(outcome)}", file=sys.stderr)
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("running", total=total)
        yield lambda outcome: bar.update(task, advance=1, description=_done(outcome))


def _done(outcome: Outcome) -> str:
    return f"{outcome.theme.name}: {outcome.case.name} ({outcome.seconds:.1f} s{', error' if outcome.error else ''})"
