"""The results in words and tables: printed, and put between the markers of the README."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

import controls as ct
from case_studies.sae_on_random_models.plan import MODELS, REAL, SCORES, TEXTS, TRAINED, Plan

BEGIN, END = "<!-- results: written by run.py -->", "<!-- end of results -->"
Cells = Sequence[dict[str, Any]]


def values(cells: Cells, score: str, **where: Any) -> np.ndarray:
    """Return a score of the cells that are so, in the order of their seeds."""
    chosen = [cell for cell in cells if all(cell[name] == wanted for name, wanted in where.items())]
    return np.array([cell[score] for cell in sorted(chosen, key=lambda cell: cell["seed"])])


def comparisons(cells: Cells, plan: Plan) -> list[dict[str, Any]]:
    """Compare the trained models on real text with every other cell, layer by layer, model by model."""
    found = []
    for score in SCORES:
        for layer in plan.layers:
            own = values(cells, score, model=TRAINED, text=REAL, layer=layer)
            for model, text in ((m, t) for m in MODELS for t in TEXTS if (m, t) != (TRAINED, REAL)):
                other = values(cells, score, model=model, text=text, layer=layer)
                result = ct.compare_models(own, other, names=("trained, real", f"{model}, {text}"))
                found.append(
                    {
                        "score": score,
                        "layer": layer,
                        "model": model,
                        "text": text,
                        "difference": round(result.estimate.value, 4),
                        "low": round(result.estimate.low, 4),
                        "high": round(result.estimate.high, 4),
                        "p": round(result.p_value, 4),
                        "p_lower": round(result.p_lower, 4),
                        "verdict": str(result.verdict),
                    }
                )
    return found


def slopes(cells: Cells, plan: Plan) -> list[dict[str, Any]]:
    """Return by how much token entropy rises from the first layer to the last, on real text, model by model."""
    first, last = plan.layers[0], plan.layers[-1]

    def rise(model: str) -> np.ndarray:
        of = {layer: values(cells, "entropy", model=model, text=REAL, layer=layer) for layer in (first, last)}
        return of[last] - of[first]

    found = []
    for model in MODELS:
        record: dict[str, Any] = {"model": model, "rise": round(float(rise(model).mean()), 4)}
        if model != TRAINED:
            result = ct.compare_models(rise(TRAINED), rise(model), names=(TRAINED, model))
            record |= {
                "difference": round(result.estimate.value, 4),
                "low": round(result.estimate.low, 4),
                "high": round(result.estimate.high, 4),
                "p": round(result.p_value, 4),
                "verdict": str(result.verdict),
            }
        found.append(record)
    return found


def report(results: dict[str, Any]) -> str:
    """Return the results as Markdown."""
    parts = [_facts(results), _slopes(results), *(_score(results, score) for score in SCORES), *_larger(results)]
    return "\n\n".join(part for part in parts if part) + "\n"


def into_readme(readme: str, results: dict[str, Any]) -> str:
    """Return the README with the results between its markers."""
    before, rest = readme.split(BEGIN)
    return f"{before}{BEGIN}\n{report(results)}{END}{rest.split(END)[1]}"


def _facts(results: dict[str, Any]) -> str:
    return (
        f"The {results['form']} form: {results['seeds']} trained seeds of the tiny model, each with fresh redraws of "
        f"its own; {results['rows']:,} tokens of files that it was not trained on, three quarters to train SAEs, a "
        f"quarter to score them; {results['latents']} latents, {results['k']} at a token, {results['steps']} steps. "
        f"{results['seconds'] / 60:.0f} minutes for the tiny model on one thread. Means over seeds; in "
        "brackets the 95% interval of trained on real text minus that cell, over models; a star where the exact "
        "two-sample test has p ≤ .05 in its direction (uncorrected: one table is one family to correct over)."
    )


def _slopes(results: dict[str, Any]) -> str:
    rows = []
    for found in results["slopes"]:
        row = [found["model"], f"{found['rise']:+.2f}"]
        if "p" in found:
            ends = f"[{found['low']:+.2f}, {found['high']:+.2f}]"
            row += [f"{found['difference']:+.2f} {ends}".replace("-", "−"), f"{found['p']:.3g}", found["verdict"]]
        rows.append(row + [""] * (5 - len(row)))
    head = ["model", "rise", "trained − this, 95% interval", "p", "verdict"]
    layers = results["layers"]
    return (
        f"### Does token entropy rise with depth?\n\nFrom `{layers[0]}` to `{layers[-1]}`, on real text:\n\n"
        + _table(head, rows)
    )


def _score(results: dict[str, Any], score: str) -> str:
    lines = []
    for layer in results["layers"]:
        rows = [[model, *(_cell(results, score, layer, model, text) for text in TEXTS)] for model in MODELS]
        lines.append(f"After `{layer}`:\n\n{_table(['model', *(f'{text} text' for text in TEXTS)], rows)}")
    return f"### {SCORES[score][0].upper()}{SCORES[score][1:]}\n\n" + "\n\n".join(lines)


def _cell(results: dict[str, Any], score: str, layer: str, model: str, text: str) -> str:
    found = values(results["cells"], score, layer=layer, model=model, text=text)
    mean = f"{found.mean():.2f}"
    if (model, text) == (TRAINED, REAL):
        return f"**{mean}**".replace("-", "−")
    compared = next(
        each
        for each in results["comparisons"]
        if (each["score"], each["layer"], each["model"], each["text"]) == (score, layer, model, text)
    )
    star = "*" if min(compared["p"], compared["p_lower"]) <= 0.05 else ""
    return f"{mean} [{compared['low']:+.2f}, {compared['high']:+.2f}]{star}".replace("-", "−")


def _larger(results: dict[str, Any]) -> Iterator[str]:
    for name, part in results["larger"].items():
        yield _corners(part) if name == "minilm-corners" else _few(name.split("-")[0], part)


def _corners(part: dict[str, Any]) -> str:
    rows = []
    for score, found in part["found"].items():
        for control, beside in found["controls"].items():
            difference = f"{beside['difference']:+.3f} [{beside['low']:+.3f}, {beside['high']:+.3f}]".replace("-", "−")
            rows.append(
                [
                    SCORES[score],
                    f"`{control}`",
                    f"{found['score']:.3f}",
                    f"{beside['mean']:.3f}",
                    difference,
                    f"{beside['above']} of {beside['draws'] + 1}",
                    beside["verdict"],
                ]
            )
    first = next(iter(part["found"].values()))
    head = ["score", "drawn anew", "trained, real", "mean of draws", "difference [95%]", "rank", "verdict"]
    return (
        f"### MiniLM, four corner cells\n\n{first['rows']:,} tokens of {first['documents']} files, after "
        f"`encoder.layer.3`; intervals over files that were held out, and draws; {part['seconds'] / 60:.0f} minutes. "
        f"WORSE THAN CONTROL says that the score is lower, which of entropy is no judgement.\n\n{_table(head, rows)}"
    )


def _few(name: str, part: dict[str, Any]) -> str:
    layer, title = part["cells"][0]["layer"], {"minilm": "MiniLM", "smollm2": "SmolLM2"}[name]
    tables = []
    for score in ("explained", "entropy", "stability", "like_trained"):
        models = dict.fromkeys(cell["model"] for cell in part["cells"])
        texts = dict.fromkeys(cell["text"] for cell in part["cells"])
        rows = [[model, *(_seen(part["cells"], score, model, text) for text in texts)] for model in models]
        what = SCORES[score][0].upper() + SCORES[score][1:]
        tables.append(f"{what}:\n\n{_table(['model', *(f'{text} text' for text in texts)], rows)}")
    return (
        f"### {title}, {part['draws']} draws of each cell\n\nDescriptive: too few draws for a test or an interval. "
        f"{part['rows']:,} tokens of {part['documents']} files, after `{layer}`; both draws of a cell; of trained on "
        f"real text two trainings of the SAE; {part['seconds'] / 60:.0f} minutes.\n\n" + "\n\n".join(tables)
    )


def _seen(cells: Cells, score: str, model: str, text: str) -> str:
    return ", ".join(f"{value:.2f}" for value in values(cells, score, model=model, text=text)).replace("-", "−")


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
