"""From a study file to what ``measure`` takes: problems, trainers, controls and settings, all checked."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar, final

import numpy as np

from controls.core.control import Control
from controls.core.errors import ControlsError
from controls.core.problem import Problem
from controls.core.study import Study
from controls.core.validate import as_labels
from controls.runner.plan import name_of
from controls.runner.prepare import Prepared, prepare
from controls.study_file.arrays import read_array
from controls.study_file.parts import control_of, scoring_of, trainer_of
from controls.study_file.spec import Claim, Spec
from controls.study_file.table import Table

T = TypeVar("T")


@final
@dataclass(frozen=True, eq=False)
class Task:
    """One claim, ready to be measured: at one site, or at all where sites are swept."""

    claim: Claim
    trainer: Any
    controls: tuple[Control, ...]
    problem: Problem
    settings: Mapping[str, Any]

    def prepared(self) -> dict[str, Prepared]:
        """Return the study of each site, checked at the door; the site is "" where there is one array."""
        problems = {site: self.problem.at(site) for site in self.problem.sites} or {"": self.problem}
        return {site: self._prepared(problem) for site, problem in problems.items()}

    def _prepared(self, problem: Problem) -> Prepared:
        for control, table in zip(self.controls, self.claim.controls, strict=True):
            if problem.labels is not None and problem.labels.ndim == 1 and len(problem.classes) > 1:
                _located(partial(control.check, problem), table.located)
        study = _located(
            lambda: Study(trainer=self.trainer, controls=self.controls, **self.settings),
            lambda error: _placed(error, self.claim),
        )
        if study.content_key is None:
            raise self.claim.trainer.refuse(
                "use",
                f"trainer {name_of(self.trainer)} (or the scoring) is a lambda or has no content to tell it by, so a "
                'run of it cannot be gone on with; write key = "..." and change it when the code changes.',
            )
        return _located(lambda: prepare(study, problem), lambda error: _placed(error, self.claim))


def build(spec: Spec, *, imports: bool = True) -> tuple[Task, ...]:
    """Return the claims of a study file, ready to be measured.

    Parameters
    ----------
    spec : Spec
    imports : bool
        Whether ``module:name`` may be imported.

    Raises
    ------
    ControlsError
        With file and line: data that is not there, rows that disagree, a trainer that cannot be
        imported, a control or a setting that does not fit the problem.
    """
    trainers = [trainer_of(claim.trainer, imports=imports) for claim in spec.claims]
    batteries = [tuple(control_of(table, imports=imports) for table in claim.controls) for claim in spec.claims]
    settings = [_settings(claim, imports=imports) for claim in spec.claims]
    data = _Data(spec)  # read last: names are checked faster
    problems = map(data.problem, spec.claims)
    tasks = tuple(map(Task, spec.claims, trainers, batteries, problems, settings))
    for task in tasks:
        task.prepared()
    return tasks


def _settings(claim: Claim, *, imports: bool) -> dict[str, Any]:
    settings = claim.settings
    if "scoring" in settings:
        settings["scoring"] = scoring_of(claim.origin["scoring"], imports=imports)
    return settings


class _Data:
    """The arrays of a study file, each read once."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.arrays: dict[tuple[str, bool], Any] = {}
        self.problems: dict[str, Problem] = {}

    def problem(self, claim: Claim) -> Problem:
        """Return the problem of a claim."""
        holder = claim.origin["labels"]
        reference = holder.get("labels", str, "")
        if reference not in self.problems:
            self.problems[reference] = self._problem(holder, reference)
        problem = self.problems[reference]
        return problem if claim.site is None else problem.at(claim.site)

    def _problem(self, holder: Table, reference: str) -> Problem:
        data, groups = self.spec.data, self.spec.data.table("groups")
        sites = data.table("activations") if self.spec.sites else None
        read = {site: self._read(sites, site) for site in self.spec.sites} if sites else {}
        activations = read or self._read(data, "activations")
        labels = self._read(holder, "labels", is_label=True) if reference else None
        columns = {name: self._read(groups, name) for name in groups.values}
        named = {f"site {site!r}": array for site, array in read.items()} or {"activations": activations}
        if reference:
            named[f"labels {reference!r}"] = labels
        named |= {f"group {name!r}": column for name, column in columns.items()}
        self._refuse_other_rows(named)
        unit = data.get("unit", str)
        first = next(iter(self.problems.values()), None)
        if first is not None and reference:  # activations and groups are checked already
            checked = _located(lambda: as_labels(labels, first.n), lambda error: holder.located(error, "labels"))
            return first.with_labels(checked)
        return _located(
            lambda: Problem(activations, labels, groups=columns, unit=unit),
            lambda error: _line_of_data(error, data, holder, groups),
        )

    def _read(self, table: Table, key: str, *, is_label: bool = False) -> Any:
        text = table.get(key, str)
        if (text, is_label) not in self.arrays:
            self.arrays[text, is_label] = _located(
                lambda: read_array(text, self.spec.folder, is_label=is_label), lambda error: table.located(error, key)
            )
        return self.arrays[text, is_label]

    def _refuse_other_rows(self, named: Mapping[str, Any]) -> None:
        rows = {name: len(array) if np.ndim(array) else 0 for name, array in named.items()}
        if len(set(rows.values())) > 1:
            shown = ", ".join(f"{name} has {count}" for name, count in rows.items())
            raise self.spec.data.refuse(None, f"rows must agree in all arrays: {shown}.")


def _located(work: Callable[[], T], place: Callable[[ControlsError], ControlsError]) -> T:
    """Return what work returns; give its errors a place in the file."""
    try:
        return work()
    except ControlsError as error:
        raise place(error) from error


def _first_word(error: Exception) -> str:
    match = re.match(r"\w+", str(error))
    return match[0] if match else ""


def _placed(error: ControlsError, claim: Claim) -> ControlsError:
    """Name the line of the setting that a sentence begins with; that of the claim where it begins otherwise."""
    word = _first_word(error)
    if word in claim.origin:
        return claim.origin[word].located(error, word)
    return claim.table.located(error)


def _line_of_data(error: ControlsError, data: Table, holder: Table, groups: Table) -> ControlsError:
    word = _first_word(error)
    if word == "labels":
        return holder.located(error, "labels")
    if word == "groups":
        name = next((name for name in groups.values if repr(name) in str(error)), None)
        return groups.located(error, name)
    return data.located(error, word if word in ("activations", "unit") else None)
