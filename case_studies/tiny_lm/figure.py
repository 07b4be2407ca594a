"""The figure: loss against step for every seed, and what each arm ends with."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from case_studies.tiny_lm.plan import ARMS

_COLOURS = {"trained": "#1f5f99", "unit": "#5fa8d3", "gaussian": "#c4622d", "bounded": "#6f8f2f", "small": "#8a6bb1"}


def figure(results: dict[str, Any]) -> Figure:
    """Return the figure of a run's results."""
    with style.context("default"), mpl.rc_context({"font.size": 8.5, "axes.linewidth": 0.6}):
        drawn = Figure(figsize=(10.5, 4), layout="constrained")
        curves, ends = drawn.subplots(1, 2, width_ratios=[1.25, 1])
        _curves(curves, results)
        _ends(ends, results)
        for axes in (curves, ends):
            axes.spines[["top", "right"]].set_visible(False)
    return drawn


def _curves(axes: Axes, results: dict[str, Any]) -> None:
    steps = results["stages"]["end"]
    for arm, runs in results["arms"].items():
        for i, run in enumerate(runs):
            curve = run["train_curve"]
            middles = (np.arange(len(curve)) + 0.5) * steps / len(curve)
            label = ARMS[arm].words if i == 0 else None
            axes.plot(middles, curve, color=_COLOURS[arm], lw=0.7, label=label)
            points = {int(step): value for step, value in run["held_out"].items()}
            axes.plot(list(points), list(points.values()), ".", color=_COLOURS[arm], ms=4)
    for name, loss in results["baselines"].items():
        axes.axhline(loss, color="0.45", lw=0.8, ls=(0, (4, 3)))
        axes.annotate(name, (1, loss), xycoords=("axes fraction", "data"), va="bottom", ha="right", color="0.35")
    axes.set(xlabel="step", ylabel="nats per token", title="Line: training, a seed each; dots: held-out files")
    axes.legend(title="embedding", frameon=False)


def _ends(axes: Axes, results: dict[str, Any]) -> None:
    arms = results["arms"]
    ends = np.array([[run["held_out_end"] for run in runs] for runs in arms.values()])
    axes.plot(range(len(arms)), ends, color="0.75", lw=0.7, zorder=1)
    for i, (arm, losses) in enumerate(zip(arms, ends, strict=True)):
        axes.plot([i] * len(losses), losses, "o", color=_COLOURS[arm], ms=4)
    axes.set_xticks(range(len(arms)), [ARMS[arm].words.replace(", ", ",\n") for arm in arms])
    axes.set(ylabel="nats per token", title="Held-out loss at the end; lines join seeds")
    axes.margins(x=0.15)
