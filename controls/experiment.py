"""The verbs: measure a problem against controls, sweep over sites, look at the plan first."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from controls.core.control import Control
from controls.core.errors import InputError, InputTypeError, unknown_name
from controls.core.key import content_key
from controls.core.metric import ColumnMetric, Metric
from controls.core.problem import Problem
from controls.core.result import Provenance, Result, Sweep
from controls.core.study import Study
from controls.core.trainer import Output, Task, Trainer
from controls.runner.compare import compare_all
from controls.runner.evaluate import Evaluator
from controls.runner.execute import Progress, Run, run_plan
from controls.runner.folds import make_folds
from controls.runner.plan import Plan, make_plan
from controls.stats.multiple import adjust, max_t
from controls.stats.pvalue import tie_tolerance
from controls.stats.verdict import judge_claim

_PACKAGES = ("controls", "numpy", "scipy", "scikit-learn", "torch")


def measure(
    trainer: Any,
    problem: Problem,
    *,
    controls: Sequence[Control],
    scoring: Any = None,
    cv: Any = None,
    draws: int = 199,
    alpha: float = 0.05,
    smallest_effect: float = 0.0,
    target: str = "fitted",
    seed: int = 0,
    block: int = 64,
    key: str | None = None,
    n_jobs: int | None = None,
    progress: Progress | None = None,
    title: str = "",
) -> Result:
    """Put a trainer beside its controls: how much of the score survives, with what certainty.

    Parameters
    ----------
    trainer : scikit-learn estimator, ``fit(X, y) -> predictor`` function, or Trainer
        What makes the finding. ``ct.probes.LogisticProbe`` and ``RidgeProbe`` fit all draws together.
    problem : Problem
        Activations, labels, groups and unit.
    controls : sequence of Control
        The battery, fixed beforehand: a claim holds if it survives all of them.
    scoring : str or callable, optional
        A scikit-learn scorer name, ``scoring(finding, problem) -> float`` (or one number per row,
        which buys unit-robust intervals without resampling), or ``ct.metrics.loss(function)``.
        Accuracy or R² where None.
    cv : int, scikit-learn splitter or iterable of (train, test), optional
        Folds. None: five, or half as many as there are units if that is fewer.
    draws : int
        Draws per control; 199 give p-values down to .005. All relabelings are enumerated instead
        where there are at most ``draws + 1``.
    alpha, smallest_effect, target, seed, block, key
        See :class:`controls.Study`.
    n_jobs : int, optional
        Processes for trainers that are fitted one by one, as in joblib. Results do not depend on it.
    progress : callable, optional
        ``progress(done, total, what)``, called as draws are done.
    title : str
        A name for the report.

    Returns
    -------
    Result
        Prints as a table.

    Raises
    ------
    InputError, CannotControl
        Bad input, before any work starts.
    TrainerError
        The trainer failed; the fold is named.

    Notes
    -----
    Time: folds × (1 + draws × controls) fits, shared by batched probes; ``ct.plan`` counts them.
    Memory: one block of label columns and one number per draw. A fold's fits all get the same random
    stream, so that observed and drawn labels differ in nothing else. Scorers of scikit-learn that
    are not ours, and functions that return one number, cost 100 more scorings for each fold of the
    problem and of ten draws: their intervals come from resampled units.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([0, 1], 40)
    >>> problem = ct.Problem(rng.normal(size=(80, 3)) + y[:, None], y)
    >>> result = ct.measure(ct.probes.RidgeProbe(), problem, controls=[ct.ShuffleLabels()],
    ...                     scoring="roc_auc", draws=99)
    >>> str(result.verdict), result["ShuffleLabels"].p_value
    ('HOLDS', 0.01)
    """
    study = Study(
        trainer=trainer,
        controls=controls,  # type: ignore[arg-type]
        scoring=scoring,
        cv=cv,
        draws=draws,
        alpha=alpha,
        smallest_effect=smallest_effect,
        target=target,
        seed=seed,
        block=block,
        key=key,
    )
    return _run(_prepare(study, problem), n_jobs=n_jobs, progress=progress, title=title)[0]


def sweep(
    trainer: Any,
    problem: Problem,
    *,
    controls: Sequence[Control],
    sites: Sequence[str] | None = None,
    n_jobs: int | None = None,
    progress: Progress | None = None,
    title: str = "",
    **settings: Any,
) -> Sweep:
    """Measure the same question at several sites (layers), with p-values corrected over them.

    Every site sees the same draws, so that the best of many layers is judged by what the best of
    many layers scores under the control: step-down max-T on studentised scores (Westfall and Young
    1993), which controls the chance of any false claim over the sites.

    Parameters
    ----------
    trainer, problem, controls, n_jobs, progress, title
        See :func:`measure`. The problem's activations are a mapping of named sites.
    sites : sequence of str, optional
        Which; all where None.
    **settings
        ``scoring``, ``cv``, ``draws``, ``alpha``, ``smallest_effect``, ``target``, ``seed``,
        ``block`` and ``key``, as in :func:`measure`.

    Returns
    -------
    Sweep

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([0, 1], 40)
    >>> layers = {"0": rng.normal(size=(80, 3)), "1": rng.normal(size=(80, 3)) + y[:, None]}
    >>> swept = ct.sweep(ct.probes.RidgeProbe(), ct.Problem(layers, y), controls=[ct.ShuffleLabels()],
    ...                  scoring="roc_auc", draws=99)
    >>> swept.adjusted_p["ShuffleLabels"]["1"]
    0.01
    """
    if not problem.sites:
        raise InputError("activations must be a mapping of named sites for a sweep, got one array; use ct.measure.")
    names = tuple(problem.sites if sites is None else [sites] if isinstance(sites, str) else sites)
    if not names:
        raise InputError(f"sites must name at least one of {', '.join(problem.sites)}, got none.")
    study = _study(trainer, controls, settings)
    prepared = {name: _prepare(study, problem.at(name)) for name in names}
    results: dict[str, Result] = {}
    runs: list[tuple[Run, Plan]] = []
    for number, name in enumerate(names):
        shown = None if progress is None else _offset(progress, number, len(names), name)
        results[name], run = _run(prepared[name], n_jobs=n_jobs, progress=shown, title=name)
        runs.append((run, prepared[name].plan))
    adjusted = {
        comparison.control: _adjusted(names, runs, position)
        for position, comparison in enumerate(results[names[0]].comparisons)
    }
    return Sweep(title, results, adjusted, study.alpha)


def _adjusted(names: Sequence[str], runs: list[tuple[Run, Plan]], position: int) -> dict[str, float]:
    """Return the max-T p of each site for one control."""
    observed = np.array([run.observed.scores[0] for run, _ in runs])
    draws = np.stack([run.drawn[position].scores for run, _ in runs])
    tolerance = max(tie_tolerance(score, run.tolerance) for score, (run, _) in zip(observed, runs, strict=True))
    planned = runs[0][1].controls[position]
    p = max_t(observed, draws, enumerated=planned.enumerated, tolerance=tolerance)
    return dict(zip(names, map(float, p), strict=True))


def _offset(progress: Progress, number: int, sites: int, name: str) -> Progress:
    """Return progress of one site as part of that of all."""
    return lambda done, total, what: progress(number * total + done, sites * total, f"{name}: {what}")


def correct(results: Mapping[str, Result], method: str = "holm") -> dict[str, float]:
    """Return adjusted p-values of many claims, each with a battery of its own.

    A claim's p is the largest, over its controls, of max(p, the smallest level at which the lower
    bound of the selectivity reaches the smallest effect): what it takes to hold.

    Parameters
    ----------
    results : mapping of claim names to Result
    method : {"holm", "bh"}
        Family-wise error, or false discovery rate.

    Returns
    -------
    dict of claim names to adjusted p
    """
    if not results:
        raise InputError("results must hold at least one result, got none.")
    p = np.array([max(comparison.claim_p for comparison in result.comparisons) for result in results.values()])
    return dict(zip(results, map(float, adjust(p, method)), strict=True))


def plan(trainer: Any, problem: Problem, *, controls: Sequence[Control], **settings: Any) -> Plan:
    """Return what :func:`measure` would run, with the p floors, before anything runs.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> problem = ct.Problem(np.eye(6), [0, 0, 0, 1, 1, 1])
    >>> print(ct.plan(ct.probes.RidgeProbe(), problem, controls=[ct.ShuffleLabels()], cv=2))
    RidgeProbe(), scored by accuracy on 2 folds of whole rows; 42 fits, label columns fitted together ...
    ShuffleLabels(): all 20 relabelings, p floor 0.05
    """
    return _prepare(_study(trainer, controls, settings), problem).plan


def load(path: Any) -> Result | Sweep:
    """Return a result or sweep that was written by ``to_json`` or ``save``."""
    from controls import report

    return report.from_json(path)


# -- preparing and running ---------------------------------------------------------------------------


def _study(trainer: Any, controls: Sequence[Control], settings: Mapping[str, Any]) -> Study:
    """Return the study of these settings; refuse a setting that there is not."""
    names = [item.name for item in fields(Study)]
    for name in settings:
        if name not in names:
            raise unknown_name("setting", name, set(names) - {"trainer", "controls"})
    return Study(trainer=trainer, controls=controls, **settings)  # type: ignore[arg-type]


@dataclass(frozen=True)
class _Prepared:
    study: Study
    evaluator: Evaluator
    plan: Plan


def _prepare(study: Study, problem: Problem) -> _Prepared:
    """Check everything that can be checked before any work, and make the plan."""
    from controls.metrics.scoring import resolve
    from controls.probes.adapt import as_trainer

    if not isinstance(problem, Problem):
        raise InputTypeError(f"problem must be a ct.Problem, got {type(problem).__name__}; write ct.Problem(X, y).")
    problem.X  # noqa: B018 - refuses several sites
    trainer = as_trainer(study.trainer)
    task = _task(trainer, study.scoring, problem)
    metric = resolve(study.scoring, task, provides=trainer.provides)
    _check_labels(problem, study, task, metric)
    _try_metric(problem, task, metric)
    for control in study.controls:
        if study.target == "expected" and control.level != "labels":
            raise InputError(
                f"target must be 'fitted' for {control.name}, which does not act on labels, got 'expected'."
            )
        control.check(problem)
    folds = make_folds(study.cv, problem, study.seed)
    evaluator = Evaluator(trainer, problem, metric, folds, task, study.seed)
    return _Prepared(study, evaluator, make_plan(study, problem, trainer, metric, folds))


def _task(trainer: Trainer, scoring: Any, problem: Problem) -> Task:
    """Return whether labels are classes or numbers: what the trainer, then the scoring, then the labels say."""
    from controls.metrics.scoring import resolve

    if trainer.task is not None:
        return trainer.task
    if scoring is not None and (task := resolve(scoring, None).task) is not None:
        return task
    return "regression" if problem.target == "continuous" else "classification"


def _check_labels(problem: Problem, study: Study, task: Task, metric: Metric) -> None:
    if problem.labels is None:
        if isinstance(metric, ColumnMetric) or any(c.level == "labels" for c in study.controls):
            raise InputError("labels must be given for this scoring and these controls, got None.")
        return
    if problem.labels.ndim != 1:
        raise InputError(f"labels must have shape (n,), got {problem.labels.shape}; measure one column at a time.")
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
        truth = np.asarray(problem.labels, dtype=np.float64)[:, None]
        metric.score(truth, Output(labels=truth))
        return
    some = min(len(problem.classes), 20)  # as many as any metric needs to see that there are too many
    truth = np.repeat(np.arange(some), 2)[:, None]
    table = np.eye(some)[truth]
    metric.score(truth, Output(truth, table[:, :, 1] - 0.5 if some == 2 else table, table))


def _run(prepared: _Prepared, *, n_jobs: int | None, progress: Progress | None, title: str) -> tuple[Result, Run]:
    study, evaluator = prepared.study, prepared.evaluator
    if progress is not None and not callable(progress):
        raise InputTypeError(f"progress must be a function (done, total, what), got {progress!r}.")
    started, clock = datetime.now(UTC), time.perf_counter()
    run = run_plan(prepared.plan, evaluator, n_jobs=n_jobs, progress=progress)
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
        notes=_notes(evaluator),
        provenance=_provenance(prepared, started, time.perf_counter() - clock),
    )
    return result, run


def _notes(evaluator: Evaluator) -> tuple[str, ...]:
    problem, notes = evaluator.problem, []
    if problem.unit is None:
        notes.append(
            "NO UNIT WAS NAMED: rows are taken as independent of one another. If they come from documents, "
            "subjects or sessions, name that group as unit=, or intervals and p-values will be too good."
        )
    elif problem.n_units < 20:
        notes.append(f"only {problem.n_units} units ({problem.unit}): intervals are approximate.")
    return tuple(notes)


def _provenance(prepared: _Prepared, started: datetime, seconds: float) -> Provenance:
    problem = prepared.evaluator.problem
    data = {"X": problem.X, "labels": problem.labels, "groups": dict(problem.groups), "unit": problem.unit}
    return Provenance(
        study_key=prepared.study.content_key,
        data_key=content_key(data),
        seed=prepared.study.seed,
        versions={name: _version(name) for name in _PACKAGES},
        n=problem.n,
        d=problem.d,
        unit=problem.unit_name,
        n_units=problem.n_units,
        folds=prepared.plan.folds,
        trainer=prepared.plan.trainer,
        plan=str(prepared.plan),
        threads=_threads(),
        started=started.isoformat(timespec="seconds"),
        seconds=seconds,
    )


@cache
def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _threads() -> int:
    """Return the number of threads that engines use."""
    import torch

    return torch.get_num_threads()
