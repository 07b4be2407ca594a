"""Figures of records. Figures are made without pyplot and whatever the caller's matplotlib settings are."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from controls.core.result import Comparison, Result, Sweep
from controls.report import words
from controls.report.escape import clipped
from controls.report.format import count, percent
from controls.report.palette import LIGHT, Palette

MAX_DOTS = 250  # more draws than this are drawn as a histogram, which keeps files small
_LONGEST = 40  # characters of a name in a figure; the tables have all of it
_WIDTH = 5.6  # inches; narrow, so that a phone shrinks the text but little
SETTINGS: dict[Any, Any] = {
    "font.size": 8.5,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "lines.solid_capstyle": "butt",
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
}
_OBSERVED, _DRAWS, _SELECTIVITY = 2.0, 1.0, 0.0  # heights of the three rows of a panel


def figure(record: Result | Sweep, palette: Palette = LIGHT, *, key: bool = True) -> Figure:
    """Return the figure of a record; ``key`` adds the line that says how to read it."""
    with style.context("default"), mpl.rc_context(SETTINGS), any_glyph():
        drawn = _result(record, palette) if isinstance(record, Result) else _sweep(record, palette)
        drawn.get_layout_engine().set(hspace=0.06)  # type: ignore[union-attr]
        if key:
            drawn.supxlabel(how_to_read(record), fontsize=7, color=palette.muted, x=0.01, ha="left")
        drawn.get_layout_engine().execute(drawn)  # type: ignore[union-attr]  # while the fonts are ours
        drawn.set_layout_engine("none")
    return drawn


@contextlib.contextmanager
def any_glyph() -> Iterator[None]:
    """Say nothing of characters that matplotlib's font lacks: a page's text is drawn by the reader's own fonts."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .*missing from font", UserWarning)
        yield


def how_to_read(record: Result | Sweep) -> str:
    """Return what the marks of a record's figure mean."""
    if isinstance(record, Sweep):
        return (
            "Line: score, with its interval. Dashes: mean of the draws; band: smallest to largest draw.\n"
            f"Filled marks: adjusted p at most {record.alpha:g}."
        )
    level, bounds = percent(record.score_estimate.level), percent(1 - 2 * record.alpha)
    dashes = f" Dashes: the smallest effect of interest, {words.effect_words(record)}."
    return (
        f"Thin bars: {level} intervals. Thick bar: {bounds} bounds, by which the verdict goes.\n"
        f"Selectivity is 0 at the mean of the draws.{dashes if record.smallest_effect else ''}"
    )


# -- one result: a panel per control, turned Gardner-Altman style ----------------------------------


def _result(result: Result, palette: Palette) -> Figure:
    rows = max(1, len(result.comparisons))
    drawn = Figure(figsize=(_WIDTH, 0.75 + 1.75 * rows), facecolor=palette.surface, layout="constrained")
    panels = drawn.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]
    low, high = _limits(result)
    for row, (axes, comparison) in enumerate(zip(panels, result.comparisons, strict=False)):
        axes.set(xlim=(low, high), ylim=(-0.55, 2.5), facecolor="none")
        _frame(axes, palette)
        _name_rows(axes, comparison, palette)
        _observed(axes, result, palette)
        _draws(axes, comparison, palette)
        _selectivity(axes, result, comparison, palette)
        _score_axis(axes, clipped(result.metric, _LONGEST) if row == 0 else None, palette)
    return drawn


def _limits(result: Result) -> tuple[float, float]:
    shown = [result.score, result.score_estimate.low, result.score_estimate.high]
    for comparison in result.comparisons:
        mean = comparison.control_mean
        shown.extend(comparison.control_scores)
        estimate = comparison.selectivity
        shown.extend(mean + end for end in (0.0, estimate.low, estimate.high, *comparison.bounds))
        shown.append(mean + result.smallest_effect)
    finite = [value for value in shown if math.isfinite(value)] or [0.0, 1.0]
    room = 0.04 * (max(finite) - min(finite)) or 0.5
    return min(finite) - room, max(finite) + room


def _frame(axes: Axes, palette: Palette) -> None:
    axes.spines[["left", "right", "top"]].set_visible(False)
    axes.spines["bottom"].set_color(palette.muted)
    axes.tick_params(axis="both", colors=palette.muted, length=3, labelsize=8)


def _name_rows(axes: Axes, comparison: Comparison, palette: Palette) -> None:
    draws = "draw" if comparison.draws == 1 else "draws"
    drawn = "other side" if words.is_paired(comparison) else f"{count(comparison.draws)} {draws}"
    names = ["selectivity", drawn, "observed"]
    axes.set_yticks([_SELECTIVITY, _DRAWS, _OBSERVED], names)
    axes.tick_params(axis="y", length=0)
    for label, colour in zip(axes.get_yticklabels(), (palette.ink, palette.drawn, palette.observed), strict=True):
        label.set_color(colour)
    axes.set_title(clipped(comparison.control, _LONGEST), loc="left", fontsize=9, fontweight="bold", color=palette.ink)
    right = f"{comparison.verdict} · {_with_p(comparison)}"
    axes.set_title(right, loc="right", fontsize=8, color=palette.muted)


def _with_p(comparison: Comparison) -> str:
    short = words.p_short(comparison)
    return short if words.is_ensemble(comparison) else f"p {short}"


def _observed(axes: Axes, result: Result, palette: Palette) -> None:
    estimate = result.score_estimate
    axes.plot([result.score] * 2, [_SELECTIVITY, _OBSERVED], color=palette.observed, lw=0.7, alpha=0.6)
    if math.isfinite(estimate.low) and math.isfinite(estimate.high):
        axes.plot([estimate.low, estimate.high], [_OBSERVED] * 2, color=palette.observed, lw=1.2)
    axes.plot([result.score], [_OBSERVED], "D", color=palette.observed, ms=5.5, mew=0)


def _draws(axes: Axes, comparison: Comparison, palette: Palette) -> None:
    scores = comparison.control_scores[np.isfinite(comparison.control_scores)]
    if len(scores) == 0:
        axes.text(0.5, _DRAWS, "no draw has a defined score", transform=axes.get_yaxis_transform(), color=palette.muted)
        return
    if len(scores) <= MAX_DOTS:
        height = _DRAWS + _stacked(scores, axes.get_xlim())
        axes.plot(scores, height, "o", color=palette.drawn, ms=3, mew=0, alpha=0.55)
    else:
        counts, edges = np.histogram(scores, bins=40)
        tops = _DRAWS - 0.35 + 0.7 * counts / counts.max()
        axes.stairs(tops, edges, baseline=_DRAWS - 0.35, fill=True, color=palette.drawn, alpha=0.5, lw=0)
    mean = comparison.control_mean
    axes.plot([mean] * 2, [_DRAWS - 0.42, _DRAWS + 0.42], color=palette.drawn, lw=1.6)


def _stacked(scores: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """Return heights that keep dots apart: those that share a column stand above and below one another."""
    columns = np.floor((scores - limits[0]) / (limits[1] - limits[0]) * 110).astype(np.int64)
    place = np.zeros(len(scores))
    for column in np.unique(columns):
        members = np.flatnonzero(columns == column)
        order = members[np.argsort(scores[members], kind="stable")]
        steps = np.arange(1, len(order) + 1) // 2
        place[order] = steps * np.where(np.arange(len(order)) % 2, 1.0, -1.0)
    return place * min(0.1, 0.38 / max(1.0, np.abs(place).max()))


def _selectivity(axes: Axes, result: Result, comparison: Comparison, palette: Palette) -> None:
    mean, estimate = comparison.control_mean, comparison.selectivity
    if not math.isfinite(mean) or not math.isfinite(estimate.value):
        axes.tick_params(axis="x", bottom=False, labelbottom=False)
        return
    axes.plot([mean] * 2, [-0.55, _DRAWS - 0.42], color=palette.muted, lw=0.8)
    if result.smallest_effect > 0:
        axes.plot([mean + result.smallest_effect] * 2, [-0.55, 0.45], color=palette.ink, lw=0.9, ls=(0, (3, 2)))
    for ends, thickness in (((estimate.low, estimate.high), 1.2), (comparison.bounds, 3.2)):
        if all(map(math.isfinite, ends)):
            axes.plot([mean + end for end in ends], [_SELECTIVITY] * 2, color=palette.ink, lw=thickness)
    axes.plot([mean + estimate.value], [_SELECTIVITY], "o", color=palette.ink, ms=5.5, mew=0)
    below = axes.secondary_xaxis("bottom", functions=(lambda x: np.subtract(x, mean), lambda x: np.add(x, mean)))
    below.tick_params(axis="x", colors=palette.muted, length=3, labelsize=8)
    below.spines["bottom"].set_visible(False)


def _score_axis(axes: Axes, metric: str | None, palette: Palette) -> None:
    """Show the score's own axis above the first panel; below each panel stands that of its selectivity."""
    axes.tick_params(axis="x", bottom=False, labelbottom=False, top=metric is not None, labeltop=metric is not None)
    if metric is not None:
        axes.xaxis.set_label_position("top")
        axes.set_xlabel(metric, color=palette.muted, fontsize=8)
        axes.spines["top"].set(visible=True, color=palette.muted)


# -- a sweep: a panel per control, sites from left to right ----------------------------------------


def _sweep(sweep: Sweep, palette: Palette) -> Figure:
    names = words.controls_of(sweep)
    rows = max(1, len(names))
    drawn = Figure(figsize=(_WIDTH, 0.6 + 1.9 * rows), facecolor=palette.surface, layout="constrained")
    panels = drawn.subplots(rows, 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for axes, name in zip(panels, names, strict=False):
        axes.set_facecolor("none")
        _frame(axes, palette)
        axes.grid(axis="y", color=palette.faint, lw=0.6)
        axes.set_axisbelow(True)
        axes.set_title(clipped(name, _LONGEST), loc="left", fontsize=9, fontweight="bold", color=palette.ink)
        _sweep_panel(axes, sweep, name, palette)
    _name_sites(panels[-1], [clipped(site, _LONGEST) for site in sweep.results], palette)
    return drawn


def _sweep_panel(axes: Axes, sweep: Sweep, name: str, palette: Palette) -> None:
    x = np.arange(len(sweep.results))
    results = list(sweep.results.values())
    there = words.along_sites(sweep, name)
    pairs = [there[site][1] if site in there else None for site in sweep.results]
    draws = [_finite(pair) for pair in pairs]
    low, high = ([reach(part) if len(part) else math.nan for part in draws] for reach in (min, max))
    axes.fill_between(x, low, high, color=palette.drawn, alpha=0.2, lw=0)
    means = [math.nan if pair is None else pair.control_mean for pair in pairs]
    axes.plot(x, means, color=palette.drawn, lw=1.4, ls=(0, (4, 2)))
    axes.plot(x, means, "_", color=palette.drawn, ms=9, mew=1.4)
    scores = [result.score for result in results]
    for place, result in zip(x, results, strict=True):
        estimate = result.score_estimate
        axes.plot([place] * 2, [estimate.low, estimate.high], color=palette.observed, lw=1.2)
    axes.plot(x, scores, color=palette.observed, lw=1.4)
    passed = [sweep.adjusted_p.get(name, {}).get(site, math.nan) <= sweep.alpha for site in sweep.results]
    _marks(axes, x, scores, passed, palette)
    axes.set_ylabel(clipped(results[0].metric, _LONGEST) if results else "", color=palette.muted, fontsize=8)
    _label_ends(axes, x, scores, means, palette)


def _finite(comparison: Comparison | None) -> np.ndarray:
    scores = np.empty(0) if comparison is None else comparison.control_scores
    return scores[np.isfinite(scores)]


def _marks(axes: Axes, x: np.ndarray, scores: Sequence[float], passed: Sequence[bool], palette: Palette) -> None:
    for place, score, is_filled in zip(x, scores, passed, strict=True):
        face = palette.observed if is_filled else palette.surface
        axes.plot([place], [score], "o", mfc=face, mec=palette.observed, ms=5.5, mew=1.2)


def _label_ends(axes: Axes, x: np.ndarray, scores: list[float], means: list[float], palette: Palette) -> None:
    """Name the two lines at their right ends, so that no legend is needed; the upper one above, so that both fit."""
    if not len(x):
        return
    upper = "draws" if means[-1] > scores[-1] else "score"
    for values, text, colour in ((scores, "score", palette.observed), (means, "draws", palette.drawn)):
        if math.isfinite(values[-1]):
            place = {"xy": (x[-1], values[-1]), "xytext": (7, 0), "textcoords": "offset points"}
            side = "bottom" if text == upper else "top"
            axes.annotate(text, va=side, color=colour, fontsize=8, **place)


def _name_sites(axes: Axes, sites: list[str], palette: Palette) -> None:
    longest = max((len(site) for site in sites), default=0)
    turned = longest * len(sites) > 60
    axes.set_xticks(np.arange(len(sites)), sites, rotation=45 if turned else 0, ha="right" if turned else "center")
    axes.set_xlim(-0.4, len(sites) - 1 + 0.4)
