"""Run a prepared study, and write down what came out and where it came from."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from controls.core.errors import InputError, InputTypeError
from controls.core.key import content_key
from controls.core.result import Provenance, Result
from controls.core.validate import plain_text
from controls.runner.compare import compare_all
from controls.runner.evaluate import Evaluator
from controls.runner.execute import Means, Progress, Run, run_plan
from controls.runner.prepare import Prepared
from controls.runner.settings import given_labels
from controls.stats.interval import FEW_UNITS
from controls.stats.verdict import judge_claim

_PACKAGES = ("controls", "numpy", "scipy", "scikit-learn", "torch")


def check_means(n_jobs: int | None, progress: Progress | None, title: str = "") -> None:
    """Refuse what cannot be the means of a run, or its title."""
    plain_text(title, "title")
    if progress is not None and not callable(progress):
        raise InputTypeError(f"progress must be a function (done, total, what), got {progress!r}.")
    if n_jobs is not None and (isinstance(n_jobs, bool) or not isinstance(n_jobs, (int, np.integer)) or n_jobs == 0):
        raise InputError(f"n_jobs must be a whole number other than 0, or None, got {n_jobs!r}.")


def run_prepared(prepared: Prepared, means: Means, title: str) -> tuple[Result, Run]:
    """Run a prepared study; return its record, and what every draw scored."""
    study, evaluator = prepared.study, prepared.evaluator
    started, clock = datetime.now(UTC), time.perf_counter()
    run = run_plan(prepared.plan, evaluator, target=study.target, means=means)
    score = float(run.observed.scores[0])
    if np.isnan(score):
        raise InputError(
            f"scoring={evaluator.metric.name!r} is not defined in any fold of this problem (it is NaN, or a class "
            "is missing in training or test rows); use fewer folds or more units."
        )
    own, comparisons = compare_all(study, prepared.plan, run, evaluator)
    verdict, reason = judge_claim(comparisons, study.alpha, study.smallest_effect)
    result = Result(
        title=title or f"{prepared.plan.trainer}",
        metric=evaluator.metric.name,
        score=score,
        score_estimate=own,
        fold_scores=tuple(map(float, run.observed.fold_scores[:, 0])),
        comparisons=comparisons,
        verdict=verdict,
        reason=reason,
        alpha=study.alpha,
        smallest_effect=study.smallest_effect,
        target=study.target,
        notes=(*_notes(evaluator, score, title), *run.remarks),
        provenance=_provenance(prepared, means.memory.where, started, time.perf_counter() - clock),
        ceiling=evaluator.metric.ceiling,
    )
    return result, run


def _notes(evaluator: Evaluator, score: float, title: str) -> tuple[str, ...]:
    problem, notes = evaluator.problem, []
    if problem.unit is None:
        notes.append(
            "NO UNIT WAS NAMED: rows are taken as independent of one another. If they come from documents, "
            "subjects or sessions, name that group as unit=, or intervals and p-values will be too good."
        )
    elif problem.n_units < FEW_UNITS:
        notes.append(f"only {problem.n_units} units ({problem.unit}): intervals are approximate.")
    if not evaluator.metric.reads_rows:
        notes.append(
            f"{evaluator.metric.name} is a score of the finding alone, whatever the held-out rows: for intervals every "
            "fold, with its own seed and training rows, is one replicate. Folds beyond two share "
            "training rows, for which variances are raised (Nadeau and Bengio 2003); new data may vary by more."
        )
    if evaluator.sets is not None:
        notes.append(
            f"labels have {evaluator.sets.k} columns: scores are means over them, and controls keep a row's labels "
            "together."
        )
    if problem.labels is not None:
        n_classes = len(problem.classes) if evaluator.sets is None else 2
        remark = evaluator.metric.remark(score, problem.n, n_classes)
        if remark is not None:  # the sites of a sweep are titled, and have one each
            notes.append(f"{title}: {remark}" if title else remark)
    return (*notes, *(remark.words for remark in problem.remarks if not remark.withdraws))


def _provenance(prepared: Prepared, store: str | None, started: datetime, seconds: float) -> Provenance:
    problem = prepared.evaluator.problem
    data = {"X": problem.content, "labels": given_labels(problem), "groups": dict(problem.groups), "unit": problem.unit}
    return Provenance(
        study_key=prepared.study.content_key,
        data_key=content_key(data),
        seed=prepared.study.seed,
        versions=versions(),
        n=problem.n,
        d=problem.d,
        unit=problem.unit_name,
        n_units=problem.n_units,
        folds=prepared.plan.folds,
        trainer=prepared.plan.trainer,
        plan=str(prepared.plan),
        threads=threads(),
        started=started.isoformat(timespec="seconds"),
        seconds=seconds,
        store=store,
    )


def versions() -> dict[str, str]:
    """Return the versions of the packages that decide what comes out."""
    return {name: _version(name) for name in _PACKAGES}


@cache
def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def threads() -> int:
    """Return the number of threads that engines use."""
    import torch

    return torch.get_num_threads()
