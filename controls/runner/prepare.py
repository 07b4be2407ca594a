"""Prepare a study of a problem: everything is checked here, at the door, before any work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from controls.core.control import TrainingControl
from controls.core.dictionary import DictionaryTrainer
from controls.core.errors import InputError, InputTypeError
from controls.core.label_sets import as_one_column
from controls.core.metric import ColumnMetric, FindingMetric, Metric
from controls.core.problem import Problem
from controls.core.study import Study
from controls.core.trainer import Output, Task, Trainer
from controls.runner.evaluate import Evaluator
from controls.runner.folds import folds_for
from controls.runner.label_columns import are_numbers, check_columns, first_column
from controls.runner.plan import Plan, make_plan


@dataclass(frozen=True)
class Prepared:
    """A study of one problem, checked and ready to run."""

    study: Study
    evaluator: Evaluator
    plan: Plan


def require_problem(problem: Any) -> None:
    """Refuse anything but a Problem."""
    if not isinstance(problem, Problem):
        raise InputTypeError(f"problem must be a ct.Problem, got {type(problem).__name__}; write ct.Problem(X, y).")


def prepare(study: Study, problem: Problem) -> Prepared:
    """Check everything that can be checked before any work, and make the plan."""
    from controls.metrics.scoring import resolve
    from controls.probes.adapt import as_trainer

    require_problem(problem)
    trainer = as_trainer(study.trainer, predicts=not _reads_findings(study.scoring))
    _check_sites(trainer, problem)
    task = _task(trainer, study.scoring, problem)
    metric = resolve(study.scoring, task, provides=trainer.provides)
    _check_labels(problem, study, task, metric)
    _try_metric(problem, task, metric)
    if problem.labels is not None and problem.labels.ndim == 2:
        problem = as_one_column(problem)
    for control in study.controls:
        if study.target == "expected" and control.level != "labels":
            raise InputError(
                f"target must be 'fitted' for {control.name}, which does not act on labels, got 'expected'."
            )
        control.check(problem)
        if isinstance(control, TrainingControl):
            control.check_trainer(trainer)
    folds = folds_for(metric, study.cv, first_column(problem), study.seed)
    evaluator = Evaluator(trainer, problem, metric, folds, task, study.seed, sets=problem.label_sets)
    return Prepared(study, evaluator, make_plan(study, problem, trainer, metric, folds))


def _reads_findings(scoring: Any) -> bool:
    """Whether the scoring is a function of findings, which then need not predict."""
    from controls.metrics.scoring import resolve

    return scoring is not None and isinstance(resolve(scoring, None), FindingMetric)


def _check_sites(trainer: Trainer, problem: Problem) -> None:
    """Refuse sites that are not there, and several where the trainer reads one array."""
    if not trainer.reads:
        problem.X  # noqa: B018 - refuses several sites
    for site in (*trainer.reads, *(trainer.writes if isinstance(trainer, DictionaryTrainer) else ())):
        problem.array_at(site)


def _task(trainer: Trainer, scoring: Any, problem: Problem) -> Task:
    """Return whether labels are classes or numbers: what the trainer, then the scoring, then the labels say."""
    from controls.metrics.scoring import resolve

    if trainer.task is not None:
        return trainer.task
    if scoring is not None and (task := resolve(scoring, None).task) is not None:
        return task
    numbers = problem.target == "continuous" or (problem.target == "multilabel" and are_numbers(problem.labels))
    return "regression" if numbers else "classification"


def _check_labels(problem: Problem, study: Study, task: Task, metric: Metric) -> None:
    if problem.labels is None:
        if isinstance(metric, ColumnMetric) or any(c.level == "labels" for c in study.controls):
            raise InputError("labels must be given for this scoring and these controls, got None.")
        return
    if problem.labels.ndim == 2:
        check_columns(problem, study, task)
        return
    if len(problem.classes) < 2:
        raise InputError(f"labels must not be constant, got {problem.classes[0].item()!r} in all {problem.n} rows.")
    kind = problem.labels.dtype.kind
    if task == "regression" and kind not in "fiub":
        raise InputError(f"labels must be numbers for regression, got dtype {problem.labels.dtype}; use a classifier.")
    if task == "classification" and kind == "f" and (problem.classes != np.round(problem.classes)).any():
        raise InputError(
            f"labels must be classes for classification, got {len(problem.classes)} different fractional numbers; "
            "use a regression probe (such as ct.probes.RidgeProbe), or cut them into classes."
        )
    if task == "classification" and kind in "iuf" and len(problem.classes) > max(20, problem.n / 10):
        raise InputError(
            f"labels must be classes for classification, got {len(problem.classes)} different numbers in {problem.n} "
            "rows; use scoring='r2' or a regressor, or make them strings if each is a class of its own."
        )


def _try_metric(problem: Problem, task: Task, metric: Metric) -> None:
    """Score perfect predictions, so that a metric that refuses such labels does so before any fit."""
    if not isinstance(metric, ColumnMetric) or problem.labels is None:
        return
    if task == "regression":
        truth = np.asarray(problem.labels, dtype=np.float64).reshape(problem.n, -1)
        metric.score(truth, Output(labels=truth))
        return
    count = 2 if problem.labels.ndim == 2 else len(problem.classes)
    some = min(count, 20)  # as many as any metric needs to see that there are too many
    truth = np.repeat(np.arange(some), 2)[:, None]
    table = np.eye(some)[truth]
    metric.score(truth, Output(truth, table[:, :, 1] - 0.5 if some == 2 else table, table))
