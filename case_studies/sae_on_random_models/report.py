"""The results in words and tables: printed, and put between the markers of the README."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from case_studies import page
from case_studies.sae_on_random_models.compare import Cells, values
from case_studies.sae_on_random_models.plan import MODELS, REAL, SCORES, TEXTS, TRAINED


def report(results: dict[str, Any]) -> str:
    """Return the results as Markdown."""
    scores = [_score(results, score) for score in SCORES]
    parts = [_facts(results), _slopes(results), _orders(results), *scores, *_larger(results)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _facts(results: dict[str, Any]) -> str:
    return (
        f"The {results['form']} form: {results['seeds']} trained seeds of the tiny model, each with fresh redraws of "
        f"its own; {results['rows']:,} tokens of files that it was not trained on, three quarters to train SAEs, a "
        f"quarter to score them; {results['latents']} latents, {results['k']} at a token, {results['steps']} steps. "
        f"{results['seconds'] / 60:.0f} minutes for the tiny model on one thread. Means over seeds; in "
        "brackets the 95% interval of trained on real text minus that cell, over models; a star where the exact "
        "test (of two samples; of signs, where the models are the same) has p ≤ .05, two-sided (uncorrected: one table "
        "is one family to correct over)."
    )


def _slopes(results: dict[str, Any]) -> str:
    layers = results["layers"]
    title = f"### Does token entropy rise with depth?\n\nFrom `{layers[0]}` to `{layers[-1]}`, on real text:\n\n"
    return title + _changes(results["slopes"], "rise")


def _orders(results: dict[str, Any]) -> str:
    title = (
        f"### Does the order of tokens matter?\n\nReal text minus shuffled text, after `{results['layers'][-1]}`:\n\n"
    )
    return title + _changes(results["orders"], "real − shuffled")


def _changes(found: list[dict[str, Any]], what: str) -> str:
    rows = []
    for each in found:
        beside = each.get("beside")
        more = [_interval(beside), f"{beside['p']:.2g}"] if beside else ["", ""]
        rows.append([SCORES[each["score"]], each["model"], _interval(each["change"]), *more])
    return page.table(["score", "model", f"{what} [95%]", "trained − this [95%]", "p, two-sided"], rows)


def _interval(compared: dict[str, float], digits: int = 3) -> str:
    value, low, high = (f"{compared[name]:+.{digits}f}".replace("-", "−") for name in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def _score(results: dict[str, Any], score: str) -> str:
    lines = []
    for layer in results["layers"]:
        rows = [[model, *(_cell(results, score, layer, model, text) for text in TEXTS)] for model in MODELS]
        lines.append(f"After `{layer}`:\n\n{page.table(['model', *(f'{text} text' for text in TEXTS)], rows)}")
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
    star = "*" if compared["p"] <= 0.05 else ""
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
        "WORSE THAN CONTROL says that the score is lower, which of entropy is no judgement.\n\n"
        + page.table(head, rows)
    )


def _few(name: str, part: dict[str, Any]) -> str:
    layer, title = part["cells"][0]["layer"], {"minilm": "MiniLM", "smollm2": "SmolLM2"}[name]
    tables = []
    for score in SCORES:
        models = dict.fromkeys(cell["model"] for cell in part["cells"])
        texts = dict.fromkeys(cell["text"] for cell in part["cells"])
        rows = [[model, *(_seen(part["cells"], score, model, text) for text in texts)] for model in models]
        what = SCORES[score][0].upper() + SCORES[score][1:]
        tables.append(f"{what}:\n\n{page.table(['model', *(f'{text} text' for text in texts)], rows)}")
    return (
        f"### {title}, {part['draws']} draws of each cell\n\nDescriptive: too few draws for a test or an interval. "
        f"{part['rows']:,} tokens of {part['documents']} files, after `{layer}`; both draws of a cell; of trained on "
        f"real text two trainings of the SAE; {part['seconds'] / 60:.0f} minutes.\n\n" + "\n\n".join(tables)
    )


def _seen(cells: Cells, score: str, model: str, text: str) -> str:
    return ", ".join(f"{value:.2f}" for value in values(cells, score, model=model, text=text)).replace("-", "−")
