"""Figures of models compared: a mark per model, and the difference of the two groups with its interval."""

from __future__ import annotations

import math

import matplotlib as mpl
import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from controls.core.model_comparison import ModelComparison
from controls.core.result import DifferenceInDifferences
from controls.report.escape import clipped
from controls.report.format import percent
from controls.report.palette import LIGHT, Palette
from controls.report.plots import SETTINGS, any_glyph

Record = DifferenceInDifferences | ModelComparison
_WIDTH, _LONGEST = 5.6, 60
_FIRST, _SECOND = 1.0, 0.0  # heights of the two groups


def figure(record: Record, palette: Palette = LIGHT) -> Figure:
    """Return the figure of two groups of models: above, their numbers; below, the difference of the means."""
    with style.context("default"), mpl.rc_context(SETTINGS), any_glyph():
        drawn = Figure(figsize=(_WIDTH, 2.6), facecolor=palette.surface, layout="constrained")
        above, below = drawn.subplots(2, 1, height_ratios=(2, 1))
        _models(above, record, palette)
        _difference(below, record, palette)
        for axes in (above, below):
            axes.spines[["left", "right", "top"]].set_visible(False)
            axes.spines["bottom"].set_color(palette.muted)
            axes.tick_params(axis="both", colors=palette.muted, length=3, labelsize=8)
            axes.tick_params(axis="y", length=0)
        drawn.supxlabel(_how_to_read(record), fontsize=7, color=palette.muted, x=0.01, ha="left")
        drawn.get_layout_engine().execute(drawn)  # type: ignore[union-attr]  # while the fonts are ours
        drawn.set_layout_engine("none")
    return drawn


def _groups(record: Record) -> dict[str, np.ndarray]:
    if isinstance(record, ModelComparison):
        return dict(record.values)
    return {"trained": record.trained, "redrawn": record.redrawn}


def _of(record: Record) -> str:
    return record.of if isinstance(record, ModelComparison) else f"selectivity ({record.metric})"


def _models(axes: Axes, record: Record, palette: Palette) -> None:
    """Draw a mark per model, and a bar at each mean."""
    groups = _groups(record)
    for height, colour, values in zip(
        (_FIRST, _SECOND), (palette.observed, palette.drawn), groups.values(), strict=True
    ):
        axes.plot(values, np.full(len(values), height), "o", color=colour, ms=4.5, mew=0, alpha=0.6)
        axes.plot([values.mean()] * 2, [height - 0.3, height + 0.3], color=colour, lw=1.6)
    axes.set(ylim=(-0.6, 1.6), facecolor="none")
    axes.set_yticks([_FIRST, _SECOND], [f"{clipped(name, 20)} ({len(each)})" for name, each in groups.items()])
    axes.set_title(clipped(_of(record), _LONGEST), loc="left", fontsize=9, fontweight="bold", color=palette.ink)


def _difference(axes: Axes, record: Record, palette: Palette) -> None:
    """Draw the difference, its interval and the bounds by which the verdict goes, beside 0."""
    found = record.estimate
    axes.axvline(0.0, color=palette.muted, lw=0.8)
    if record.smallest_effect > 0:
        axes.axvline(record.smallest_effect, color=palette.ink, lw=0.9, ls=(0, (3, 2)))
    for ends, thickness in (((found.low, found.high), 1.2), (record.bounds, 3.2)):
        if all(map(math.isfinite, ends)):
            axes.plot(ends, [0.0, 0.0], color=palette.ink, lw=thickness)
    axes.plot([found.value], [0.0], "o", color=palette.ink, ms=5.5, mew=0)
    axes.set(ylim=(-0.6, 0.6), facecolor="none")
    axes.set_yticks([0.0], ["difference"])
    axes.set_title(str(record.verdict), loc="right", fontsize=8, color=palette.muted)


def _how_to_read(record: Record) -> str:
    level, bounds = percent(record.estimate.level), percent(1 - 2 * record.alpha)
    dashes = " Dashes: the smallest effect of interest." if record.smallest_effect else ""
    return (
        "A dot per model; upright bars: means. Below: the difference of the means.\n"
        f"Thin bar: {level} interval. Thick bar: {bounds} bounds, by which the verdict goes.{dashes}"
    )
