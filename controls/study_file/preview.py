"""What a study file would run: its plan, the floors of p and the time, before anything is measured."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from controls.report.escape import printable
from controls.report.format import duration, probability
from controls.runner.prepare import Prepared
from controls.runner.record import check_means
from controls.study_file.build import Task, build
from controls.study_file.estimate import estimate
from controls.study_file.names import importable
from controls.study_file.spec import Spec, read_spec


def preview(
    path: Path,
    *,
    overrides: Mapping[str, Any] | None = None,
    imports: bool = True,
    timing: bool = True,
    n_jobs: int | None = None,
) -> str:
    """Return what ``run`` would do, in words.

    Data are read and everything is checked as ``run`` checks it. With ``timing``, the observed labels
    and one block of draws are fitted for each different kind of work, and thrown away.
    """
    check_means(n_jobs, None)
    spec = read_spec(path, overrides)
    with importable(spec.folder, imports=imports):
        tasks = build(spec, imports=imports)
        lines = [printable(spec.title), *_lines(tasks, timing, n_jobs), *_floors(spec, tasks)]
    return "\n".join(lines)


def _lines(tasks: tuple[Task, ...], timing: bool, n_jobs: int | None) -> Iterator[str]:
    timed: dict[tuple[Any, ...], tuple[float, str]] = {}
    total = 0.0
    for task in tasks:
        for site, prepared in task.prepared().items():
            yield ""
            name = f"{task.claim.name} at {site}" if site else task.claim.name
            yield f"{printable(name)} (line {task.claim.table.line()})"
            yield repr(prepared.evaluator.problem)
            yield str(prepared.plan)
            if not timing:
                continue
            work = _work(prepared)
            if work not in timed:
                found = estimate(prepared, n_jobs)
                timed[work] = found.seconds, found.timed
            seconds, words = timed[work]
            total += seconds
            yield f"about {duration(seconds)}, {words}"
    if timing and len(tasks) + sum(len(task.problem.sites) for task in tasks) > 1:
        yield ""
        yield f"about {duration(total)} in all"


def _work(prepared: Prepared) -> tuple[Any, ...]:
    """Return what decides how long a study takes: studies that agree in it are timed once."""
    problem, plan = prepared.evaluator.problem, prepared.plan
    draws = tuple(planned.blocks for planned in plan.controls)
    return plan.trainer, plan.metric, problem.X.shape, len(problem.classes), plan.n_folds, draws


def _floors(spec: Spec, tasks: tuple[Task, ...]) -> Iterator[str]:
    """Say where Holm's correction needs a smaller p than the draws can give."""
    if spec.correction != "holm" or len(tasks) < 2:
        return
    for task in tasks:
        for prepared in task.prepared().values():
            floor, needed = max(each.p_floor for each in prepared.plan.controls), prepared.plan.alpha / len(tasks)
            if floor > needed:
                yield ""
                yield (
                    f"{task.claim.name!r} cannot be the first of {len(tasks)} claims to hold: its p floor "
                    f"{probability(floor)} is above alpha/{len(tasks)} = {probability(needed)} (Holm); with enough "
                    f"relabelings, draws = {math.ceil(1 / needed - 1e-9) - 1} would do"
                )
