"""The results in words and tables: printed, and put between the markers of the README."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

import controls as ct
from case_studies import page
from case_studies.embedding_matrix.plan import ALIKE, BY_FREQUENCY, SCORES, SPELLINGS, STAGES
from case_studies.embedding_matrix.rows import CONTROLS

REAL = "the embedding's own"


def values(cells: Iterable[dict[str, Any]], score: str, **where: Any) -> np.ndarray:
    """Return a score of the cells that are so, in the order of their seeds."""
    chosen = [cell for cell in cells if all(cell[name] == wanted for name, wanted in where.items())]
    return np.array([cell[score] for cell in sorted(chosen, key=lambda cell: cell["seed"])])


def error_names(part: dict[str, Any], way: str = "error") -> list[str]:
    """Return the names of a part's errors, by rising number of active atoms; "refit" of those by least squares."""
    return [f"{way} {k}" for k in part["plan"]["active"]]


def report(results: dict[str, Any]) -> str:
    """Return the results as Markdown."""
    return "\n\n".join(part for part in (_tiny(results), _smollm2(results)) if part) + "\n"


def _tiny(results: dict[str, Any]) -> str:
    part, steps = results["tiny"], results["steps"]
    cells, active = part["cells"], part["plan"]["active"]
    at_end = {"stage": STAGES[-1]}

    def errors(way: str, counted: str) -> str:
        return _compared(cells, error_names(part, way), [str(k) for k in active], counted=counted, **at_end)

    def looks(counted: str) -> str:
        return _compared(cells, list(SCORES), list(SCORES.values()), counted=counted, **at_end)

    intro = (
        f"### The tiny model\n\nThe {results['form']} form: {part['seeds']} trainings. {_sizes(part)} "
        f"{part['seconds'] / 60:.0f} minutes of computing. Means over trainings, each beside a draw of its own; in "
        "brackets the 95% interval of the embedding minus the control, over models; a star where the exact two-sample "
        "test over models has p ≤ .05, two-sided (not corrected for the number of cells)."
    )
    middle = f"refit {active[len(active) // 2]}"
    over = f"Over training, the share left at {middle.replace('refit ', '')} active atoms, refitted, by frequency:\n\n"
    return "\n\n".join([intro, *_tables(part, errors, looks), over + _over_training(cells, middle, steps)])


def _smollm2(results: dict[str, Any]) -> str:
    part = results["smollm2"]
    if not part:
        return "### SmolLM2\n\nNot run in this form."
    cells, active = part["cells"], part["plan"]["active"]

    def errors(way: str, counted: str) -> str:
        return _ranged(cells, error_names(part, way), [str(k) for k in active], counted)

    def looks(counted: str) -> str:
        return _ranged(cells, list(SCORES), list(SCORES.values()), counted)

    draws, minutes = part["draws"], part["seconds"] / 60
    one, both = (f"{sides / (draws + 1):.2g}" for sides in (1, 2))
    intro = (
        f"### SmolLM2\n\nOne model: {draws} dictionaries of its embedding, with other seeds, beside as many draws of "
        f"each control. {_sizes(part)} {minutes:.0f} minutes of computing. Means, and the least and the largest; a "
        "star where no dictionary of the embedding lies among the draws. One embedding beside "
        f"{draws} draws: p is {one} at best on one side, {both} on both, and what is said is said of this embedding."
    )
    return "\n\n".join([intro, *_tables(part, errors, looks)])


def _tables(part: dict[str, Any], errors: Callable[..., str], looks: Callable[..., str]) -> Iterator[str]:
    share = "Share of the squared error that is left, by number of active atoms"
    yield f"{share}, of basis pursuit's own codes, by frequency:\n\n{errors('error', BY_FREQUENCY)}"
    yield f"Least squares on the same atoms, by frequency:\n\n{errors('refit', BY_FREQUENCY)}"
    yield f"Least squares, every token once:\n\n{errors('refit', ALIKE)}"
    yield f"Least squares, one token of each spelling, once ({_left(part)}):\n\n{errors('refit', SPELLINGS)}"
    yield f"What the dictionaries look like, by frequency:\n\n{looks(BY_FREQUENCY)}"
    yield f"The same, every token once:\n\n{looks(ALIKE)}"


def _sizes(part: dict[str, Any]) -> str:
    plan, facts = part["plan"], part["facts"][BY_FREQUENCY]
    return (
        f"The {facts['tokens']:,} most frequent tokens, {facts['width']} dimensions, {plan['atoms']} atoms, a third of "
        f"the tokens scored. Tokens occur {facts['read']:,} times; weighted by that, those scored count as much "
        f"as {facts['scored as good as']} tokens that are equally frequent."
    )


def _left(part: dict[str, Any]) -> str:
    return f"{part['facts'][SPELLINGS]['tokens']:,} of {part['facts'][BY_FREQUENCY]['tokens']:,} tokens"


def _compared(cells: list[dict[str, Any]], scores: list[str], heads: list[str], **where: Any) -> str:
    rows = [[REAL, *(f"**{values(cells, score, rows=REAL, **where).mean():.2f}**" for score in scores)]]
    rows += [[control, *(_beside(cells, score, control, **where) for score in scores)] for control in CONTROLS]
    return page.table(["rows", *heads], rows)


def _over_training(cells: list[dict[str, Any]], score: str, steps: dict[str, int]) -> str:
    columns = [{"stage": stage, "counted": BY_FREQUENCY} for stage in STAGES]
    rows = [[REAL, *(f"**{values(cells, score, rows=REAL, **where).mean():.2f}**" for where in columns)]]
    rows += [[control, *(_beside(cells, score, control, **where) for where in columns)] for control in CONTROLS]
    return page.table(["rows", *(f"step {steps[stage]}" for stage in STAGES)], rows)


def _beside(cells: list[dict[str, Any]], score: str, control: str, **where: Any) -> str:
    own, drawn = (values(cells, score, rows=rows, **where) for rows in (REAL, control))
    result = ct.compare_models(own, drawn, names=(REAL, control))
    star = "*" if 2 * min(result.p_value, result.p_lower) <= 0.05 else ""
    ends = f"[{result.estimate.low:+.2f}, {result.estimate.high:+.2f}]"
    return f"{drawn.mean():.2f} {ends}{star}".replace("-", "−")


def _ranged(cells: list[dict[str, Any]], scores: list[str], heads: list[str], counted: str) -> str:
    rows = []
    for name in (REAL, *CONTROLS):
        line = [name]
        for score in scores:
            own, drawn = (values(cells, score, rows=each, counted=counted) for each in (REAL, name))
            apart = drawn.max() < own.min() or own.max() < drawn.min()
            line.append(f"{drawn.mean():.2f} [{drawn.min():.2f}, {drawn.max():.2f}]{'*' if apart else ''}")
        rows.append(line)
    return page.table(["rows", *heads], rows)
