"""The settings that decide what a draw scores: a store goes on with a study only where all are as they were."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Any

from controls.core.key import NoContent, content_key
from controls.core.problem import Problem
from controls.runner.prepare import Prepared
from controls.runner.store import Setting


def settings_of(prepared: Prepared, versions: Mapping[str, str], threads: int) -> dict[str, Setting]:
    """Return the settings of a prepared study, by name.

    How many draws, the battery, alpha, the smallest effect and the target are not among them: they
    choose among scores, and change none.

    Raises
    ------
    NoContent
        Where trainer, scoring or cv has no content, and the study no ``key``.
    """
    study, evaluator = prepared.study, prepared.evaluator
    found = _data(evaluator.problem)
    found["trainer"] = Setting(_key(study.trainer, study.key, "trainer"), prepared.plan.trainer)
    found["scoring"] = Setting(_key(study.scoring, study.key, "scoring"), evaluator.metric.name)
    counted = study.cv is None or isinstance(study.cv, int)  # then units and seed make the folds
    found["cv"] = Setting(evaluator.folds.words if counted else evaluator.folds.key, evaluator.folds.words)
    if study.key is not None:
        found["key"] = Setting(study.key, repr(study.key))
    found["processor"] = _processor()
    plain = {"seed": study.seed, "block": prepared.plan.block, "python": platform.python_version()}
    if evaluator.batched:  # others run on one thread
        plain["threads"] = threads
    return found | {name: Setting(str(value), str(value)) for name, value in {**plain, **versions}.items()}


def _data(problem: Problem) -> dict[str, Setting]:
    data: dict[str, Any] = {"activations": problem.X, "labels": given_labels(problem), "unit": problem.unit_name}
    data |= {f"group {name!r}": column for name, column in problem.groups.items()}
    return {name: Setting(content_key(value), _words(value)) for name, value in data.items()}


def given_labels(problem: Problem) -> Any:
    """Return the labels as they were given, also where several columns were taken as one."""
    sets = problem.label_sets
    return problem.labels if sets is None else sets.table[problem.labels]


def _words(value: Any) -> str:
    return f"{value.dtype} of shape {value.shape}" if hasattr(value, "dtype") else str(value)


def _key(value: Any, key: str | None, name: str) -> str:
    try:
        return content_key(value)
    except NoContent as error:
        if key is not None:
            return "stands in key="
        raise NoContent(
            f"key must be given where a store is to know a {name} that has no content of its own; pass "
            f"key='any text that you change when it does' ({error})"
        ) from error


def _processor() -> Setting:
    """Return the kind of processor: sums on another kind may differ in their last bits."""
    import torch

    words = f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
    found = getattr(torch.cpu, "get_capabilities", dict)()  # older torch does not say
    return Setting(content_key((words, {name: str(found[name]) for name in sorted(found)})), words)
