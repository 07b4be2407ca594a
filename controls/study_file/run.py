"""Run a study file, or read what a run keeps. A run is a folder."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from controls.core.errors import InputError
from controls.core.result import Result, Sweep
from controls.report.files import write_text
from controls.runner.execute import Progress
from controls.runner.record import check_means
from controls.study_file.build import build
from controls.study_file.differences import differences
from controls.study_file.judge import Judged, judge
from controls.study_file.keep import kept, measured
from controls.study_file.names import importable
from controls.study_file.spec import Spec, read_spec

SCHEMA = "controls.run/1"
_STUDY, _ABOUT = "study.toml", "run.json"


@final
@dataclass(frozen=True, eq=False)
class Run:
    """A study file that was run."""

    folder: Path
    file: str  # the study file, seen from the working directory
    spec: Spec
    records: Mapping[str, Result | Sweep]  # by claim, each taken alone
    claims: tuple[Judged, ...]  # after correction


def run(
    path: Path,
    folder: Path | None = None,
    *,
    overrides: Mapping[str, Any] | None = None,
    imports: bool = True,
    n_jobs: int | None = None,
    progress: Callable[[str], Progress] | None = None,
) -> Run:
    """Measure every claim of a study file, and keep every draw in a folder.

    Parameters
    ----------
    path : Path
        The study file.
    folder : Path, optional
        Where to keep the run; beside the study file, with ``.run`` for ``.toml``, where None.
    overrides : mapping, optional
        Settings that take the place of those of the file; they are kept with the run.
    imports : bool
        Whether ``module:name`` may be imported.
    n_jobs : int, optional
        As in ``ct.measure``.
    progress : callable, optional
        ``progress(claim)`` returns what is called as that claim's draws are done.

    Raises
    ------
    ControlsError
        Bad input, before anything is measured; or a trainer that failed.
    """
    check_means(n_jobs, None)
    overrides = dict(overrides or {})
    spec = read_spec(path, overrides)
    folder = path.with_suffix(".run") if folder is None else folder
    _refuse_other_settings(folder, spec)
    with importable(spec.folder, imports=imports):
        tasks = build(spec, imports=imports)
        _write_about(folder, spec, overrides)
        records = {}
        for task in tasks:
            shown = None if progress is None else progress(task.claim.name)
            records[task.claim.name] = measured(task, folder, n_jobs=n_jobs, progress=shown)
    return _run(folder, path, spec, records)


def read_run(folder: Path) -> Run:
    """Return what a run keeps; neither the data nor the trainer is looked at.

    Raises
    ------
    InputError
        A folder that is not a run, or a run that has not measured all its claims.
    """
    about = _read_about(folder)
    spec = read_spec(folder / _STUDY, about["overrides"])
    records, names = kept(folder), [claim.name for claim in spec.claims]
    missing = [name for name in names if name not in records]
    if missing:
        raise InputError(
            f"the run {str(folder)!r} has not measured {len(missing)} of {len(names)} claims ({missing[0]!r} first); "
            "go on with `controls run`."
        )
    return _run(folder, folder / about["study"], spec, {name: records[name] for name in names})


def _run(folder: Path, path: Path, spec: Spec, records: Mapping[str, Result | Sweep]) -> Run:
    lines = {claim.name: claim.table.line() for claim in spec.claims}
    return Run(folder, os.path.relpath(path), spec, records, judge(records, lines, spec.correction))


def _refuse_other_settings(folder: Path, spec: Spec) -> None:
    if folder.is_dir() and not (folder / _ABOUT).exists() and any(folder.iterdir()):
        raise InputError(f"{str(folder)!r} is a folder of something else; name another with --out.")
    if not folder.exists() or not (folder / _ABOUT).exists():
        return
    differing = differences(_read_about(folder)["settings"], spec.root)
    if differing:
        raise InputError(
            f"{str(folder)!r} holds a run with other settings: {'; '.join(differing)}. Go on with the settings it "
            "has, remove the folder, or name another with --out."
        )


def _write_about(folder: Path, spec: Spec, overrides: Mapping[str, Any]) -> None:
    about = {
        "schema": SCHEMA,
        "study": Path(os.path.relpath(spec.path, folder)).as_posix(),
        "overrides": dict(overrides),
        "settings": spec.root.values,
    }
    write_text(folder / _STUDY, spec.path.read_text(encoding="utf-8-sig"))
    write_text(folder / _ABOUT, json.dumps(about, indent=2, ensure_ascii=False, default=str) + "\n")


def _read_about(folder: Path) -> dict[str, Any]:
    path = folder / _ABOUT
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise InputError(f"{str(folder)!r} is not a run: it has no {_ABOUT} that can be read.") from None
    if not isinstance(about, dict) or about.get("schema") != SCHEMA:
        raise InputError(f"{str(path)!r} is not of this version: its schema must be {SCHEMA!r}; upgrade controls.")
    return about
