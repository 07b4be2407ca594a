"""What a run keeps of each claim, in a store: running it again goes on from there, and reports read nothing else."""

from __future__ import annotations

from pathlib import Path

from controls.core.result import Result, Sweep
from controls.experiment import measure, sweep
from controls.kept import stored
from controls.runner.execute import Progress
from controls.study_file.build import Task

_STORE = "store.db"


def measured(task: Task, folder: Path, *, n_jobs: int | None, progress: Progress | None) -> Result | Sweep:
    """Return what a claim's study found; every draw is kept in the folder's store, and taken from there."""
    verb = sweep if task.problem.sites else measure
    return verb(
        task.trainer,
        task.problem,
        controls=task.controls,
        n_jobs=n_jobs,
        progress=progress,
        store=folder / _STORE,
        title=task.claim.name,
        **task.settings,
    )


def kept(folder: Path) -> dict[str, Result | Sweep]:
    """Return what the folder's store holds, by claim; only claims that are measured to the end."""
    path = folder / _STORE
    return stored(path) if path.exists() else {}
