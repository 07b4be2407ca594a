"""Figures of a calibration, as SVG files beside its page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import matplotlib as mpl

from controls.report.palette import LIGHT
from controls.testing.calibrate.outcome import Judged, Outcome
from controls.testing.suite.case import Effect, Power, Seen
from controls.testing.suite.counts import Count

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "controls",
    "font.size": 8,
    "text.parse_math": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": LIGHT.ink,
    "axes.labelcolor": LIGHT.ink,
    "axes.edgecolor": LIGHT.muted,
    "xtick.color": LIGHT.muted,
    "ytick.color": LIGHT.ink,
}
_METADATA = {"Date": None, "Creator": None}
_WIDTH = 9.0  # inches
_COLUMNS = 3  # of panels
_COLOURS = (LIGHT.observed, LIGHT.drawn, "#009e73", "#cc79a7", "#56b4e9")  # of curves
_LONGEST = 70  # characters of a label


def draw(calibration: Judged, folder: Path) -> dict[str, list[str]]:
    """Draw what there is to draw into the folder.

    Returns
    -------
    dict
        By theme, the lines of Markdown that show its figures on a page beside the folder.
    """
    shown: dict[str, list[str]] = {}
    with mpl.rc_context(_STYLE):
        for theme, name, figure, words in _figures(calibration):
            folder.mkdir(exist_ok=True)
            figure.savefig(folder / f"{name}.svg", metadata=_METADATA, bbox_inches="tight")
            shown.setdefault(theme, []).append(f"![{words}]({folder.name}/{name}.svg)\n")
    return shown


def _figures(calibration: Judged) -> Iterator[tuple[str, str, Any, str]]:
    """Yield theme, name of the file, figure, and what it shows in words."""
    for theme, group in groupby(calibration.outcomes, key=lambda outcome: outcome.theme):
        outcomes = list(group)
        if effects := _checks(outcomes, Effect):
            off = max(each.off for _, each in effects)
            words = f"{theme.title}: {len(effects)} effects beside their exact values, at most {off:.1f} s.e. off"
            yield theme.name, f"{theme.name}_effects", _effects(effects), words
        if rates := [(case, each) for case, each in _checks(outcomes, Count) if not isinstance(each, Power)]:
            words = f"{theme.title}: {len(rates)} counted rates with 95% intervals, beside what they are held against"
            yield theme.name, f"{theme.name}_rates", _rates(rates), words
        if points := _checks(outcomes, Power):
            words = f"{theme.title}: how often a planted effect is found, by its size"
            yield theme.name, f"{theme.name}_power", _power(points), words


def _checks(outcomes: Sequence[Outcome], kind: type) -> list[tuple[str, Any]]:
    """Return checks of a kind, each with the name of its case."""
    return [(outcome.case.name, each) for outcome in outcomes for each in outcome.checks if isinstance(each, kind)]


def _figure(columns: int, height: float, *, rows: int = 1, **settings: Any) -> tuple[Any, list[Any]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **settings).ravel().tolist()


def _effects(effects: Sequence[tuple[str, Effect]]) -> Any:
    """Expected against measured on the left; how far apart in standard errors on the right."""
    figure, (left, right) = _figure(2, max(3.5, 0.16 * len(effects) + 1), width_ratios=(3, 4))
    left.set(box_aspect=1, anchor="N")
    expected = [each.expected for _, each in effects]
    measured = [each.measured for _, each in effects]
    ends = min([*expected, *measured]), max([*expected, *measured])
    left.plot(ends, ends, color=LIGHT.faint, zorder=0)
    errors = [2 * each.error for _, each in effects]
    left.errorbar(expected, measured, yerr=errors, fmt="o", markersize=3, color=LIGHT.observed)
    if max(map(abs, ends)) > 3:  # most effects are shares; a few are not
        left.set(xscale="symlog", yscale="symlog")
    left.set(xlabel="exact value", ylabel="measured, ± 2 s.e.")
    off = [(each.measured - each.expected) / each.error for _, each in effects]
    right.axvspan(-3, 3, color=LIGHT.faint, alpha=0.4, linewidth=0)
    right.plot(off, range(len(off)), "o", markersize=3, color=LIGHT.observed)
    _label_rows(right, [_label(case, each.what) for case, each in effects])
    right.set(xlabel="(measured − exact) / s.e.")
    return figure


def _rates(rates: Sequence[tuple[str, Count]]) -> Any:
    """One row per rate, with its interval and what it is held against; what must exceed it in another colour."""
    figure, (axes,) = _figure(1, 0.19 * len(rates) + 0.8)
    for row, (_, each) in enumerate(rates):
        colour = LIGHT.drawn if isinstance(each, Seen) else LIGHT.observed
        axes.plot(each.interval, (row, row), color=colour, linewidth=1.2)
        axes.plot(each.share, row, "o", markersize=3.5, color=colour)
        axes.plot(each.held_against, row, "|", markersize=9, color=LIGHT.ink)
    _label_rows(axes, [_label(case, each.what) for case, each in rates])
    axes.set(xlabel="share of repetitions; the tick is the rate it is held against", xlim=(-0.02, 1.02))
    return figure


def _power(points: Sequence[tuple[str, Power]]) -> Any:
    """One panel per case, one line per curve, the exact power dashed."""
    cases = list(dict.fromkeys(case for case, _ in points))
    rows = -(-len(cases) // _COLUMNS)
    figure, panels = _figure(_COLUMNS, 2.6 * rows, rows=rows, sharey=True)
    for axes in panels[len(cases) :]:
        axes.remove()
    for axes, case in zip(panels, cases, strict=False):
        curves = list(dict.fromkeys(each.curve for name, each in points if name == case))
        for k, curve in enumerate(curves):
            _curve(
                axes,
                [each for name, each in points if name == case and each.curve == curve],
                _COLOURS[k % len(_COLOURS)],
            )
        axes.set(title=case, xlabel="size of the planted effect", ylim=(-0.03, 1.03))
        if any(curves):
            axes.legend(frameon=False, fontsize=7)
    for axes in panels[::_COLUMNS]:
        axes.set_ylabel("share found")
    return figure


def _curve(axes: Any, points: Sequence[Power], colour: str) -> None:
    points = sorted(points, key=lambda each: each.at)
    at, share = [each.at for each in points], [each.share for each in points]
    below = [each.share - each.interval[0] for each in points]
    above = [each.interval[1] - each.share for each in points]
    label = points[0].curve
    axes.errorbar(at, share, yerr=(below, above), fmt="o-", markersize=3, linewidth=1, color=colour, label=label)
    exact = [(each.at, each.expected) for each in points if each.expected is not None]
    if exact:
        axes.plot(*zip(*exact, strict=True), "--", linewidth=1, color=colour, alpha=0.6, label=f"{label}, exact")


def _label(case: str, what: str) -> str:
    text = f"{case}: {what}"
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _label_rows(axes: Any, labels: Sequence[str]) -> None:
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", color=LIGHT.faint, linewidth=0.4)
