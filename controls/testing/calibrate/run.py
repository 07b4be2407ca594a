"""Run the calibration, judge its counts, and write them down."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from controls.testing.calibrate.counts import Cell, judged
from controls.testing.calibrate.coverage import EXPECTED, FITTED, TOKENS, Covered, Setting, one, token_one
from controls.testing.calibrate.page import Difference, as_markdown, as_table
from controls.testing.calibrate.pitfalls import PITFALLS, Pitfall

FULL = {"pitfalls": 1000, "coverage": 1000, "expected": 200}
SHORT = {"pitfalls": 60, "coverage": 40, "expected": 8}


def run(short: bool = False, docs: Path | None = None, json: Path | None = None, jobs: int = 2) -> bool:
    """Count false alarms and coverage, print them, write them where asked, and return whether all passed.

    Parameters
    ----------
    short : bool
        A few repetitions, to see that everything runs; the full form takes the better part of an hour
        on two cores.
    docs, json : path, optional
        Where to write the docs page and the counts.
    jobs : int
        Processes.
    """
    from rich.console import Console

    console = Console()
    repetitions = SHORT if short else FULL
    cells: list[Cell] = []
    for pitfall in PITFALLS:
        console.print(f"[dim]{pitfall.name} …[/dim]")
        cells += pitfall_cells(pitfall, repetitions["pitfalls"], jobs)
    for setting in FITTED:
        console.print(f"[dim]coverage: {setting.name} …[/dim]")
        cells.append(coverage_cell(setting, _covered(setting, repetitions["coverage"], jobs)))
    console.print("[dim]coverage: percentile bootstrap of tokens …[/dim]")
    cells.append(token_cell(repetitions["coverage"], jobs))
    differences = []
    for setting in EXPECTED:
        console.print(f"[dim]target: {setting.name} …[/dim]")
        cell, difference = expected_cell(setting, repetitions["expected"], jobs)
        cells.append(cell)
        differences.append(difference)
    verdicts, level = judged(cells)
    console.print(as_table(verdicts))
    if docs is not None:
        Path(docs).write_text(as_markdown(verdicts, level, differences), encoding="utf-8")
    if json is not None:
        found = {"level": level, "cases": [cell.as_dict(level) for cell in cells]}
        Path(json).write_text(jsonlib.dumps(found, indent=1), encoding="utf-8")
    return all(passed for _, passed in verdicts)


def pitfall_cells(pitfall: Pitfall, repetitions: int, jobs: int) -> list[Cell]:
    """Return the false alarms of the naive practice and of ours."""
    p = np.array(_repeat(pitfall.run, repetitions, jobs))
    naive, ours = (int(count) for count in (p <= pitfall.alpha + 1e-12).sum(axis=0))
    fault = "any" if pitfall.naive_below else "above"
    return [
        Cell("naive", pitfall.name, naive, repetitions, pitfall.alpha, fault, pitfall.naive),
        Cell("ours", pitfall.name, ours, repetitions, pitfall.alpha, _kind(pitfall), pitfall.ours),
    ]


def _kind(pitfall: Pitfall) -> str:
    return "equal" if pitfall.exact else "at most"


def coverage_cell(setting: Setting, found: Sequence[Covered]) -> Cell:
    """Return the coverage of the interval: not below .93 with 30 unequal documents, .95 or more with 200."""
    rate = 0.93 if setting.n_documents <= 30 else 0.95
    inside = sum(covered.inside for covered in found)
    return Cell("coverage", setting.name, inside, len(found), rate, "at least", "t on leave-one-unit-out deviations")


def token_cell(repetitions: int, jobs: int) -> Cell:
    """Return how often the percentile bootstrap of tokens misses: a fault that must be seen."""
    size = TOKENS.world.mean_size()
    inside = sum(_repeat(lambda seed: token_one(TOKENS, size, seed), repetitions, jobs))
    name = f"{TOKENS.name}, strong document effects"
    return Cell(
        "fault", name, repetitions - inside, repetitions, 0.07, "above", "percentile bootstrap of tokens misses"
    )


def expected_cell(setting: Setting, repetitions: int, jobs: int) -> tuple[Cell, Difference]:
    """Return the coverage of the "expected" interval for the mean truth over samples, beside the "fitted" one's."""
    refitted = _covered(setting, repetitions, jobs)
    fitted = _covered(Setting(setting.metric, setting.n_documents, setting.d), repetitions, jobs)
    truth = float(np.mean([covered.truth for covered in refitted]))

    def holds(found: Sequence[Covered]) -> int:
        return sum(abs(covered.value - truth) <= covered.width / 2 for covered in found)

    def error(found: Sequence[Covered]) -> float:
        return float(np.mean([covered.standard_error for covered in found]))

    spread = float(np.std([covered.value for covered in refitted], ddof=1))
    difference = Difference(setting.name, spread, error(fitted), error(refitted), holds(fitted) / len(fitted))
    name = f"expected: {setting.name}"
    return Cell(
        "coverage", name, holds(refitted), len(refitted), 0.93, "at least", "delete-a-group jackknife"
    ), difference


def _covered(setting: Setting, repetitions: int, jobs: int) -> list[Covered]:
    size = setting.world.mean_size()
    return _repeat(lambda seed: one(setting, size, seed), repetitions, jobs)


def _repeat(work: Callable[[int], Any], repetitions: int, jobs: int) -> list[Any]:
    """Return ``work(seed)`` for every repetition, in processes of one thread each."""
    from joblib import Parallel, delayed

    return list(Parallel(n_jobs=jobs)(delayed(_single)(work, seed) for seed in range(repetitions)))


def _single(work: Callable[[int], Any], seed: int) -> Any:
    import torch

    torch.set_num_threads(1)
    return work(seed)
