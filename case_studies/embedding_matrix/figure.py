"""What dictionaries miss: by number of active atoms, and over training."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from case_studies.embedding_matrix.plan import BY_FREQUENCY, STAGES
from case_studies.embedding_matrix.report import REAL, error_names, values
from case_studies.embedding_matrix.rows import CONTROLS

_COLOURS = ("#1b5e9c", "#b4451f", "#e0a03c", "#6c8c3c", "#8a5a9e", "#4a4a4a")


def draw(results: dict[str, Any]) -> Figure:
    """Return the figure: errors of the tiny model and, where it was run, of SmolLM2; errors over training."""
    panels = 3 if results["smollm2"] else 2
    figure = Figure(figsize=(3.6 * panels, 3.9), layout="constrained")
    axes = figure.subplots(1, panels)
    _by_sparsity(axes[0], results["tiny"], "tiny model, end of training", stage=STAGES[-1], counted=BY_FREQUENCY)
    _over_training(axes[1], results)
    if results["smollm2"]:
        _by_sparsity(axes[2], results["smollm2"], "SmolLM2", counted=BY_FREQUENCY)
    for each in axes:
        each.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("share of the squared error left, refitted")
    handles, names = axes[1].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=len(names), fontsize=8, frameon=False)
    return figure


def _by_sparsity(axes: Axes, part: dict[str, Any], title: str, **where: Any) -> None:
    active = part["plan"]["active"]
    for rows, colour in zip((REAL, *CONTROLS), _COLOURS, strict=True):
        found = [values(part["cells"], error, rows=rows, **where) for error in error_names(part, "refit")]
        axes.plot(active, [each.mean() for each in found], color=colour, label=rows, lw=1.5)
        for k, each in zip(active, found, strict=True):
            axes.plot([k] * len(each), each, ".", color=colour, ms=3, alpha=0.5)
    axes.set_xscale("log", base=2)
    axes.set_xticks(active, [str(k) for k in active])
    axes.set_xlabel("active atoms")
    axes.set_title(title, fontsize=10)


def _over_training(axes: Axes, results: dict[str, Any]) -> None:
    part, steps = results["tiny"], results["steps"]
    errors = error_names(part, "refit")
    score = errors[len(errors) // 2]
    for rows, colour in zip((REAL, *CONTROLS), _COLOURS, strict=True):
        found = [values(part["cells"], score, rows=rows, stage=stage, counted=BY_FREQUENCY) for stage in STAGES]
        axes.plot([steps[stage] for stage in STAGES], [each.mean() for each in found], color=colour, label=rows, lw=1.5)
        for stage, each in zip(STAGES, found, strict=True):
            axes.plot([steps[stage]] * len(each), each, ".", color=colour, ms=3, alpha=0.5)
    axes.set_xlabel("training step")
    axes.set_title(f"tiny model, {score.replace('refit ', '')} active atoms", fontsize=10)
