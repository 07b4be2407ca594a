"""What a run keeps of each claim: running it again goes on from there, and reports read nothing else."""

from __future__ import annotations

import json
from pathlib import Path

from controls.core.errors import InputError
from controls.core.key import content_key
from controls.core.result import Result, Sweep
from controls.experiment import measure, sweep
from controls.report import as_json, from_json
from controls.report.files import write_text
from controls.runner.execute import Progress
from controls.runner.prepare import Prepared
from controls.study_file.build import Task

Record = Result | Sweep
_FILE = "kept.json"  # records by claim


def measured(task: Task, folder: Path, *, n_jobs: int | None, progress: Progress | None) -> Record:
    """Return what a claim's study found: from what the folder keeps, or measured and kept there."""
    name, records = task.claim.name, kept(folder)
    if name in records:
        _refuse_other(records[name], task, folder)
        return records[name]
    verb = sweep if task.problem.sites else measure
    record = verb(
        task.trainer,
        task.problem,
        controls=task.controls,
        n_jobs=n_jobs,
        progress=progress,
        title=name,
        **task.settings,
    )
    everything = {claim: json.loads(as_json(each)) for claim, each in {**records, name: record}.items()}
    write_text(folder / _FILE, json.dumps(everything, indent=2, ensure_ascii=False) + "\n")
    return record


def kept(folder: Path) -> dict[str, Record]:
    """Return what a folder keeps, by claim; only claims that are measured to the end."""
    path = folder / _FILE
    if not path.exists():
        return {}
    return {name: from_json(json.dumps(record)) for name, record in json.loads(path.read_text("utf-8")).items()}


def _refuse_other(record: Record, task: Task, folder: Path) -> None:
    """Refuse a record of other data or of another study."""
    results = record.results if isinstance(record, Sweep) else {"": record}
    for site, prepared in task.prepared().items():
        differing = _differing(results[site], prepared)
        if differing:
            raise InputError(
                f"{str(folder)!r} holds a run of {task.claim.name!r} with another content of: {', '.join(differing)}. "
                "Name another folder with --out."
            )


def _differing(result: Result, prepared: Prepared) -> list[str]:
    problem = prepared.evaluator.problem
    data = {"X": problem.X, "labels": problem.labels, "groups": dict(problem.groups), "unit": problem.unit}
    same = {
        "data": result.provenance.data_key == content_key(data),
        "trainer or settings": result.provenance.study_key == prepared.study.content_key,
    }
    return [name for name, equal in same.items() if not equal]
