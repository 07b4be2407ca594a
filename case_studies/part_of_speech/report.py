"""The results in words and tables: printed, and put between the markers of the README."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from case_studies import page


def report(results: Mapping[str, Any]) -> str:
    """Return the results as Markdown."""
    parts = [_facts(results), _orderings(results["orderings"])]
    parts += [_layers(results, task) for task in results["tasks"]]
    parts += [_probes(results), _differences(results), _smollm2(results)]
    return "\n\n".join(parts) + "\n"


def _facts(results: Mapping[str, Any]) -> str:
    text = results["text"]
    tasks = "; ".join(
        f"`{task}`: {facts['rows']:,} words, {facts['classes']} classes, the largest {facts['majority']:.3f} of them"
        for task, facts in results["tasks"].items()
    )
    minutes = sum(part["seconds"] for part in results["parts"].values()) / 60
    genres = ", ".join(f"{count} of {genre or 'no genre'}" for genre, count in text["genres"].items())
    return (
        f"The {results['form']} form, {text['name']}: {text['sentences']} sentences ({genres}) of "
        f"{text['documents']} documents, {text['words']:,} words. {tasks}. {minutes:.1f} minutes. All scores are "
        "accuracies on documents that the probe was not fitted to; selectivities are the score less the mean of the "
        "control's draws, with 95% intervals over documents."
    )


def _orderings(found: Sequence[Mapping[str, Any]]) -> str:
    lines = []
    for words in dict.fromkeys(item["words"] for item in found):
        verdicts = Counter(item["verdict"] for item in found if item["words"] == words)
        lines.append(f"- {words[0].upper()}{words[1:]}: " + ", ".join(f"{v} in {n}" for v, n in verdicts.items()) + ".")
    rows = [
        [item["words"], item["where"], "; ".join(f"{name} {_estimate(side)}" for name, side in item["sides"].items()),
         item["verdict"]]
        for item in found
    ]  # fmt: skip
    return (
        "**Which of the orderings hold.**\n\n"
        + "\n".join(lines)
        + f"\n\n{page.table(['ordering', 'where', 'selectivities', 'verdict'], rows)}"
    )


def _layers(results: Mapping[str, Any], task: str) -> str:
    parts = {name: part["figures"][task] for name, part in results["parts"].items() if _is_sweep(name)}
    layers = list(parts["labels"])
    rows = [["accuracy", "", *(f"{parts['labels'][layer]['score']:.3f}" for layer in layers)]]
    for part in parts.values():
        for control, first in part[layers[-1]]["controls"].items():
            cells = [_cell(part[layer]["controls"][control]) if layer in part else "" for layer in layers]
            rows.append([f"`{control}`", str(len(first["draws"])), *cells])
    floor = parts["labels"][layers[0]]["controls"]
    note = (
        "bold: p ≤ .05 over all layers (max-T), SELECTIVE at its own."
        if max(record["p_floor"] for record in floor.values()) <= 0.05
        else "with so few draws no p can reach .05."
    )
    table = page.table(["control", "draws", *layers], rows)
    return f"`{task}` in MiniLM: selectivity beside each control; {note}\n\n{table}"


def _cell(record: Mapping[str, Any]) -> str:
    value = _estimate(record["selectivity"])
    return f"**{value}**" if record["verdict"] == "SELECTIVE" and record["p_adjusted"] <= 0.05 else value


def _probes(results: Mapping[str, Any]) -> str:
    rows = []
    for name, part in results["parts"].items():
        if name.startswith("probes/"):
            for task, layers in part["figures"].items():
                for layer, record in layers.items():
                    ((_, control),) = record["controls"].items()
                    rows.append([name.removeprefix("probes/"), task, layer, f"{record['score']:.3f}"])
                    rows[-1] += [f"{control['mean']:.3f}", _estimate(control["selectivity"])]
    return "Probes trained alike, beside control tasks:\n\n" + page.table(
        ["probe", "task", "layer", "accuracy", "control task", "selectivity"], rows
    )


def _differences(results: Mapping[str, Any]) -> str:
    rows = []
    for name, part in results["parts"].items():
        if name.startswith("difference/"):
            for task, made in part["figures"].items():
                (score, control), (other_score, other_control) = made["trained"], made["redrawn"]
                rows.append([name.removeprefix("difference/"), task, made["layer"], f"{score:.3f} − {control:.3f}"])
                rows[-1] += [f"{other_score:.3f} − {other_control:.3f}", _estimate(made["estimate"])]
                rows[-1] += [f"{made['p']:.3f} ({made['p_floor']:.3f})"]
    head = ["redrawn", "task", "layer", "trained", "untrained", "difference in differences", "p (floor)"]
    return (
        "Difference in differences, (task − control task) of the trained model less that of untrained ones (`MLP`: "
        f"the small MLP, all but the embeddings redrawn):\n\n{page.table(head, rows)}"
    )


def _smollm2(results: Mapping[str, Any]) -> str:
    part = results["parts"].get("smollm2")
    if part is None:
        return results["smollm2"]
    rows = []
    for task, layers in part["figures"].items():
        for layer, record in layers.items():
            cells = [_estimate(found["selectivity"]) for found in record["controls"].values()]
            rows.append([task, layer, f"{record['score']:.3f}", *cells])
    controls = [f"`{name}`" for name in next(iter(next(iter(part["figures"].values())).values()))["controls"]]
    return (
        "SmolLM2 in bfloat16, whose weights were packed in 4 bits; three draws each, which describe and test "
        f"nothing:\n\n{page.table(['task', 'layer', 'accuracy', *controls], rows)}"
    )


def _is_sweep(name: str) -> bool:
    return name == "labels" or name.startswith("weights/")


def _estimate(side: Sequence[float]) -> str:
    value, *ends = side
    return f"{value:+.3f}" + (f" [{ends[0]:+.3f}, {ends[1]:+.3f}]" if ends else "")
