"""Hewitt and Liang's orderings, and which of them hold here: computed from the figures of the parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from case_studies.part_of_speech.plan import Plan

Ordering = dict[str, Any]


def orderings(done: Mapping[str, Any], plan: Plan) -> list[Ordering]:
    """Return every ordering with its two sides, for each task (and layer) that it is asked of, and whether it holds.

    "holds" and "is reversed" ask more than a direction: that the 95% intervals of the two sides do not
    overlap, or that the interval of a difference leaves out 0. All else is "not shown".
    """
    figures = {name: part["figures"] for name, part in done.items()}
    found: list[Ordering] = []
    for task in figures["labels"]:
        found += _of_probes(figures, plan, task)
        found += _of_depth(figures["labels"][task], plan.layers, task)
        found += _of_untrained(figures, task)
    return found


def _of_probes(figures: Mapping[str, Any], plan: Plan, task: str) -> list[Ordering]:
    small, large = (f"MLP {size}" for size in plan.hidden)
    pairs = (
        ("a linear probe is more selective than an MLP", "linear", large),
        ("a small MLP is more selective than a large one", small, large),
    )
    found = []
    for words, *names in pairs:
        for layer in plan.probe_layers:
            sides = {name: _selectivity(figures[f"probes/{name}"][task][layer]) for name in names}
            found.append(_compared(words, f"{task}, {layer}", sides))
    return found


def _of_depth(layers: Mapping[str, Any], names: Sequence[str], task: str) -> list[Ordering]:
    """Ask of the first layer above the embeddings and of the last."""
    words = "a deeper layer is more selective"
    return [_compared(words, task, {name: _selectivity(layers[name]) for name in (names[-1], names[1])})]


def _of_untrained(figures: Mapping[str, Any], task: str) -> list[Ordering]:
    found = []
    for name, part in figures.items():
        if not name.startswith("difference/") or task not in part:
            continue
        record, what = part[task], name.removeprefix("difference/")
        lowest, highest = min(record["redrawn_selectivities"]), max(record["redrawn_selectivities"])
        where = f"{task}, {record['layer']}, untrained: {what}"
        positive = "holds" if lowest > 0 else "is reversed" if highest < 0 else "not shown"
        found.append({"words": "an untrained encoder is selective", "where": where, "verdict": positive,
                      "sides": {"redrawn, lowest": [lowest], "redrawn, highest": [highest]}})  # fmt: skip
        value, low, high = record["estimate"]
        smaller = "holds" if low > 0 else "is reversed" if high < 0 else "not shown"
        found.append({"words": "an untrained encoder is less selective", "where": where, "verdict": smaller,
                      "sides": {"trained − untrained": [value, low, high]}})  # fmt: skip
    return found


def _selectivity(record: Mapping[str, Any]) -> list[float]:
    """Return the selectivity beside the control task, which is the first control wherever it is asked."""
    return next(iter(record["controls"].values()))["selectivity"]


def _compared(words: str, where: str, sides: dict[str, list[float]]) -> Ordering:
    """Return whether the first side lies above the second, by their intervals."""
    (_, low, high), (_, other_low, other_high) = sides.values()
    verdict = "holds" if low > other_high else "is reversed" if high < other_low else "not shown"
    return {"words": words, "where": where, "verdict": verdict, "sides": sides}
