"""The docs page of a calibration: per theme its figures, its questions and its checks."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from controls.testing.calibrate.figures import draw
from controls.testing.calibrate.outcome import Judged, Outcome
from controls.testing.calibrate.table import COLUMNS, MISSED, rows
from controls.testing.suite.cases import Theme

_INTRO = """# Calibration

Every control and probe of the library is run in worlds where the right answer is known. This page is written
by `make calibrate`{form}: {minutes:.0f} minutes of computing, shared by the cores. `controls calibrate --short` is
the quick look, `--only NAME` runs one theme or case.

{summary}

What passes: false alarms not surely above their level (= : nor below it), planted faults surely above it,
intervals that hold the truth not surely less often than they say (all by binomial tests), adjusted effects
of true nulls within .01 of 0, and measured effects within three Monte-Carlo standard errors of the exact
value. Nothing is re-seeded. What a first run has more than three standard errors off (or not within .01 of 0)
is measured a second time, with four times the repetitions on random streams of its own, and by the same rule
the second run decides; both are printed. Sound effects fail both once in 140,000 times each.

"Would fail" is the nearest true rate that these repetitions would fail four times in five: whatever is
nearer may have gone unseen. TOO FEW: even five points too many false alarms (of coverage, five points
too little) would go unseen more often than one time in five; what passed there says little.
"""


def write_page(calibration: Judged, path: Path) -> None:
    """Write the page, and its figures into a folder beside it that has the page's name."""
    path = Path(path)
    figures = draw(calibration, path.with_suffix(""))
    parts = [_intro(calibration)]
    for theme, group in groupby(calibration.outcomes, key=lambda outcome: outcome.theme):
        parts += _theme(theme, list(group), calibration.level, figures.get(theme.name, []))
    path.write_text("\n".join(parts), encoding="utf-8")


def _intro(calibration: Judged) -> str:
    return _INTRO.format(
        form=" with few repetitions" if calibration.short else "",
        minutes=max(1.0, calibration.computing / 60),
        summary=_cell(calibration.summary),
    )


def _theme(theme: Theme, outcomes: list[Outcome], level: float, figures: list[str]) -> Iterator[str]:
    yield f"## {theme.title}\n\n{theme.words}\n"
    yield from figures
    yield "| case | question | truth |\n|---|---|---|"
    for outcome in outcomes:
        yield f"| {_cell(outcome.case.name)} | {_cell(outcome.case.question)} | {_cell(outcome.case.truth)} |"
    yield f"\n| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}"
    for outcome in outcomes:
        yield from _checks(outcome, level)
    yield ""


def _checks(outcome: Outcome, level: float) -> Iterator[str]:
    for k, (*words, word) in enumerate(rows(outcome, level)):
        name = outcome.case.name if k == 0 else ""
        word = f"**{word}**" if word == MISSED else word
        yield f"| {' | '.join(map(_cell, (name, *words, word)))} |"


def _cell(text: str) -> str:
    """Return text that stays within its cell."""
    return text.replace("|", "\\|").replace("\n", " ")
