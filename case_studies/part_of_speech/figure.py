"""The figure: selectivity at every layer of MiniLM, a line per control and a panel per task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

_COLOURS = ("#1f5f99", "#5fa8d3", "#c4622d", "#e0a030", "#6f8f2f", "#8a6bb1")


def figure(results: Mapping[str, Any]) -> Figure:
    """Return the figure of a run's results."""
    tasks = list(results["tasks"])
    with style.context("default"), mpl.rc_context({"font.size": 8.5, "axes.linewidth": 0.6}):
        drawn = Figure(figsize=(3 + 4.5 * len(tasks), 4), layout="constrained")
        panels = drawn.subplots(1, len(tasks), sharey=True, squeeze=False)[0]
        for axes, task in zip(panels, tasks, strict=True):
            _panel(axes, results, task)
        drawn.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper", frameon=False)
        panels[0].set_ylabel("selectivity (accuracy less the control's mean)")
    return drawn


def _panel(axes: Axes, results: Mapping[str, Any], task: str) -> None:
    colours = iter(_COLOURS)
    places = {layer: place for place, layer in enumerate(results["parts"]["labels"]["figures"][task])}
    for name, part in results["parts"].items():
        if name != "labels" and not name.startswith("weights/"):
            continue
        layers = part["figures"][task]
        for control in next(iter(layers.values()))["controls"]:
            at = [places[layer] for layer in layers]
            value, low, high = zip(
                *(layer["controls"][control]["selectivity"] for layer in layers.values()), strict=True
            )
            colour = next(colours, None)
            axes.plot(at, value, color=colour or "0.75", marker="." if colour else "", lw=1, label=control)
            if colour:
                axes.fill_between(at, low, high, color=colour, alpha=0.1, lw=0)
    axes.axhline(0, color="0.4", lw=0.6)
    axes.set_xticks(list(places.values()), [name.replace("encoder.layer.", "") for name in places])
    axes.set(title=f"{task}; bands: 95% intervals", xlabel="layer of MiniLM")
    axes.spines[["top", "right"]].set_visible(False)
