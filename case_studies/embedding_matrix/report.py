"""The results in words and tables: printed, and put between the markers of the README."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

import controls as ct
from case_studies.embedding_matrix.plan import ALIKE, BY_FREQUENCY, SCORES, SPELLINGS, STAGES
from case_studies.embedding_matrix.rows import CONTROLS

REAL = "the embedding's own"
BEGIN, END = "<!-- results: written by run.py -->", "<!-- end of results -->"


def values(cells: Iterable[dict[str, Any]], score: str, **where: Any) -> np.ndarray:
    """Return a score of the cells that are so, in the order of their seeds."""
    chosen = [cell for cell in cells if all(cell[name] == wanted for name, wanted in where.items())]
    return np.array([cell[score] for cell in sorted(chosen, key=lambda cell: cell["seed"])])


def error_names(part: dict[str, Any]) -> list[str]:
    """Return the names of the errors that a part has, by rising number of active atoms."""
    return [f"error {k}" for k in part["plan"]["active"]]


def report(results: dict[str, Any]) -> str:
    """Return the results as Markdown."""
    return "\n\n".join(part for part in (_tiny(results), _smollm2(results)) if part) + "\n"


def into_readme(readme: str, results: dict[str, Any]) -> str:
    """Return the README with the results between its markers."""
    before, rest = readme.split(BEGIN)
    return f"{before}{BEGIN}\n{report(results)}{END}{rest.split(END)[1]}"


def _tiny(results: dict[str, Any]) -> str:
    part, steps = results["tiny"], results["steps"]
    cells, errors = part["cells"], error_names(part)
    middle = errors[len(errors) // 2]
    intro = (
        f"### The tiny model\n\nThe {results['form']} form: {part['seeds']} trainings. {_sizes(part)} "
        f"{part['seconds'] / 60:.0f} minutes on one thread. Means over trainings, each beside a draw of its own; in "
        "brackets the 95% interval of the embedding minus the control, over models; a star where the exact two-sample "
        "test over models has p ≤ .05 in its direction (not corrected for the number of cells)."
    )
    at_end = {"stage": STAGES[-1], "counted": BY_FREQUENCY}
    parts = [
        intro,
        "Share of the squared error that is left, by number of active atoms, at the end of training:\n\n"
        + _compared(cells, errors, _active(errors), **at_end),
        "Every token once, whatever its frequency:\n\n"
        + _compared(cells, errors, _active(errors), stage=STAGES[-1], counted=ALIKE),
        f"One token of each spelling, {_left(part)}:\n\n"
        + _compared(cells, errors, _active(errors), stage=STAGES[-1], counted=SPELLINGS),
        f"Over training, the {middle.replace('error ', 'share left at ')} active atoms:\n\n"
        + _over_training(cells, middle, steps),
        "What the dictionaries look like, at the end of training:\n\n"
        + _compared(cells, list(SCORES), list(SCORES.values()), **at_end),
    ]
    return "\n\n".join(parts)


def _smollm2(results: dict[str, Any]) -> str:
    part = results["smollm2"]
    if not part:
        return "### SmolLM2\n\nNot run in this form."
    errors = error_names(part)
    intro = (
        f"### SmolLM2\n\nOne model, {part['draws']} draws of each control: ranks among {part['draws'] + 1}, so that "
        f"no p is below {1 / (part['draws'] + 1):.2g}, and what is said is said of this embedding. {_sizes(part)} "
        f"{part['seconds'] / 60:.0f} minutes on one thread. Means of draws; in brackets the least and the largest; a "
        "star where the embedding lies outside of all."
    )
    return "\n\n".join(
        [
            intro,
            "Share of the squared error that is left, by number of active atoms:\n\n"
            + _ranked(part["cells"], errors, _active(errors), BY_FREQUENCY),
            f"One token of each spelling, {_left(part)}:\n\n"
            + _ranked(part["cells"], errors, _active(errors), SPELLINGS),
            "What the dictionaries look like:\n\n"
            + _ranked(part["cells"], list(SCORES), list(SCORES.values()), BY_FREQUENCY),
        ]
    )


def _sizes(part: dict[str, Any]) -> str:
    plan, facts = part["plan"], part["facts"][BY_FREQUENCY]
    return (
        f"The {facts['tokens']:,} most frequent tokens, {facts['width']} dimensions, {plan['atoms']} atoms, a third of "
        f"the tokens scored. They occur {facts['read']:,} times; weighted by that, they count as much as "
        f"{facts['as good as']} tokens that are equally frequent."
    )


def _left(part: dict[str, Any]) -> str:
    return f"{part['facts'][SPELLINGS]['tokens']:,} of {part['facts'][BY_FREQUENCY]['tokens']:,} tokens"


def _active(errors: list[str]) -> list[str]:
    return [name.replace("error ", "") for name in errors]


def _compared(cells: list[dict[str, Any]], scores: list[str], heads: list[str], **where: Any) -> str:
    rows = [[REAL, *(f"**{values(cells, score, rows=REAL, **where).mean():.2f}**" for score in scores)]]
    rows += [[control, *(_beside(cells, score, control, **where) for score in scores)] for control in CONTROLS]
    return _table(["rows", *heads], rows)


def _over_training(cells: list[dict[str, Any]], score: str, steps: dict[str, int]) -> str:
    columns = [{"stage": stage, "counted": BY_FREQUENCY} for stage in STAGES]
    rows = [[REAL, *(f"**{values(cells, score, rows=REAL, **where).mean():.2f}**" for where in columns)]]
    rows += [[control, *(_beside(cells, score, control, **where) for where in columns)] for control in CONTROLS]
    return _table(["rows", *(f"step {steps[stage]}" for stage in STAGES)], rows)


def _beside(cells: list[dict[str, Any]], score: str, control: str, **where: Any) -> str:
    own, drawn = (values(cells, score, rows=rows, **where) for rows in (REAL, control))
    result = ct.compare_models(own, drawn, names=(REAL, control))
    star = "*" if min(result.p_value, result.p_lower) <= 0.05 else ""
    ends = f"[{result.estimate.low:+.2f}, {result.estimate.high:+.2f}]"
    return f"{drawn.mean():.2f} {ends}{star}".replace("-", "−")


def _ranked(cells: list[dict[str, Any]], scores: list[str], heads: list[str], counted: str) -> str:
    rows = [[REAL, *(f"**{values(cells, score, rows=REAL, counted=counted)[0]:.2f}**" for score in scores)]]
    for control in CONTROLS:
        line = [control]
        for score in scores:
            own, drawn = (
                values(cells, score, rows=REAL, counted=counted)[0],
                values(cells, score, rows=control, counted=counted),
            )
            star = "" if drawn.min() <= own <= drawn.max() else "*"
            line.append(f"{drawn.mean():.2f} [{drawn.min():.2f}, {drawn.max():.2f}]{star}")
        rows.append(line)
    return _table(["rows", *heads], rows)


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
