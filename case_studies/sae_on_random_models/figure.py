"""What changes with depth: explained variance and token entropy on real text, by model."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from case_studies.sae_on_random_models.compare import values
from case_studies.sae_on_random_models.plan import MODELS, REAL, SCORES

_COLOURS = ("#1b5e9c", "#b4451f", "#e0a03c", "#6c8c3c", "#8a5a9e")


def draw(results: dict[str, Any]) -> Figure:
    """Return the figure: a panel a score, a line a model, a dot a seed."""
    figure = Figure(figsize=(13.5, 3.6), layout="constrained")
    layers = results["layers"]
    for axes, score in zip(figure.subplots(1, 4), ("explained", "entropy", "share", "stability"), strict=True):
        for model, colour in zip(MODELS, _COLOURS, strict=True):
            found = [values(results["cells"], score, model=model, text=REAL, layer=layer) for layer in layers]
            places = range(len(layers))
            axes.plot(places, [each.mean() for each in found], color=colour, label=model, lw=1.5)
            for place, each in zip(places, found, strict=True):
                axes.plot([place] * len(each), each, ".", color=colour, ms=4, alpha=0.6)
        axes.set_xticks(range(len(layers)), layers)
        axes.set_title(SCORES[score], fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].legend(fontsize=7, frameon=False)
    return figure
