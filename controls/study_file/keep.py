"""What a run keeps of each claim, so that running it again goes on from there."""

from __future__ import annotations

from pathlib import Path

from controls.core.errors import InputError
from controls.core.key import content_key
from controls.core.result import Result, Sweep
from controls.experiment import measure, sweep
from controls.report import as_json, from_json
from controls.runner.execute import Progress
from controls.runner.prepare import Prepared
from controls.study_file.build import Task

Record = Result | Sweep


def measured(task: Task, path: Path, *, n_jobs: int | None, progress: Progress | None) -> Record:
    """Return what a claim's study found: from the file at ``path``, or measured and written there."""
    if path.exists():
        record = from_json(path)
        _refuse_other(record, task, path)
        return record
    verb = sweep if task.problem.sites else measure
    record = verb(
        task.trainer,
        task.problem,
        controls=task.controls,
        n_jobs=n_jobs,
        progress=progress,
        title=task.claim.name,
        **task.settings,
    )
    as_json(record, path)
    return record


def _refuse_other(record: Record, task: Task, path: Path) -> None:
    """Refuse a record of other data or of another study."""
    results = record.results if isinstance(record, Sweep) else {"": record}
    for site, prepared in task.prepared().items():
        kept = results.get(site)
        differs = ["sites"] if kept is None else _differing(kept, prepared)
        if differs:
            raise InputError(
                f"{str(path.parent)!r} holds a run of {task.claim.name!r} with another content of: "
                f"{', '.join(differs)}. Name another folder with --out."
            )


def _differing(kept: Result, prepared: Prepared) -> list[str]:
    problem = prepared.evaluator.problem
    data = {"X": problem.X, "labels": problem.labels, "groups": dict(problem.groups), "unit": problem.unit}
    same = {
        "data": kept.provenance.data_key == content_key(data),
        "trainer or settings": kept.provenance.study_key == prepared.study.content_key,
    }
    return [name for name, equal in same.items() if not equal]
