"""The verb that crosses label controls with redrawn models: difference in differences."""

from __future__ import annotations

import time
from collections.abc import Sequence
from os import PathLike
from typing import Any

import numpy as np

from controls.core.control import Control, describe
from controls.core.errors import InputError, InputTypeError
from controls.core.problem import Problem
from controls.core.result import Component, DifferenceInDifferences, Estimate
from controls.core.rng import stream
from controls.core.study import Study
from controls.core.validate import whole_number
from controls.crossing import Crossing, check_seeds, mean_of, redrawn
from controls.kept import opened
from controls.runner.execute import Means, Progress
from controls.runner.prepare import Prepared, prepare, require_problem
from controls.runner.record import check_means
from controls.stats.differences import Design, Scores, difference, rank
from controls.stats.interval import FEW_UNITS, bounds
from controls.stats.two_sample import judge_models
from controls.stats.verdict import Evidence


def difference_in_differences(
    trainer: Any,
    problem: Problem | Sequence[Problem],
    *,
    labels: Control,
    against: Control | Sequence[Problem],
    scoring: Any = None,
    cv: Any = None,
    draws: int = 19,
    model_draws: int = 19,
    trainer_seeds: int = 1,
    alpha: float = 0.05,
    smallest_effect: float = 0.0,
    seed: int = 0,
    n_jobs: int | None = None,
    progress: Progress | None = None,
    store: str | PathLike[str] | None = None,
    title: str = "",
) -> DifferenceInDifferences:
    """Ask how much more selective trained models are than redrawn ones: (task − control) less (task − control).

    An untrained model can be selective too (an untrained encoder tells words apart, and words tell much of their
    part of speech). What training adds is the difference of the two differences.

    Parameters
    ----------
    trainer : as in :func:`measure`
    problem : Problem, or sequence of Problem
        What one trained model gave; or several (seeds of one training), on the same rows and labels.
    labels : Control
        On labels, such as ``ct.ControlTask(per="word")``; all models get the same draws of it.
    against : Control, or sequence of Problem
        On weights, such as ``ct.Reinitialize()`` (inputs and activations will do too); or what other models gave,
        such as checkpoints of step 0, on the same rows and labels.
    scoring, cv, alpha, smallest_effect, seed
        As in :func:`measure`.
    draws : int
        Of labels.
    model_draws : int
        Redrawn models; 19 are the fewest with which one trained model can rank at .05. Several trained models
        take turns to be redrawn.
    trainer_seeds : int
        How often each fit is made with other random numbers, for trainers that use any.
    n_jobs, progress
        As in :func:`measure`.
    store : path, optional
        Keeps every draw of every model: stopped at any moment, the same call goes on from there.
    title : str

    Returns
    -------
    DifferenceInDifferences
        Prints as tables: the difference with its interval, the rank or the test, and what the variance is made of.

    Raises
    ------
    InputError, CannotControl
        Bad input, before any work: a control of the wrong level, problems with other rows or labels.
    TrainerError, StoreError, Interrupted
        As in :func:`measure`.

    Notes
    -----
    Null hypothesis: trained and redrawn models' selectivities come from one law. The unit of replication is the
    model. One trained model has a rank among redrawn ones, which speaks of this one model; several have the exact
    two-sample permutation test of their means (all relabelings of models up to 20,000). The interval adds
    variances over units (of the whole contrast, since all models are scored on the same units), redrawn and
    trained models, label draws, seeds of the trainer, and interactions of units and draws with models, each
    once, with degrees of freedom after Satterthwaite.

    Time: (trained + redrawn models) × trainer_seeds × one ``measure`` with ``draws``, and one extraction per
    redrawn model. Memory: one model's activations at a time, beside the trained ones.

    References
    ----------
    Hewitt and Liang (2019), arXiv 1909.03368, Table 2: the selectivity of an untrained encoder.

    Examples
    --------
    >>> import numpy as np, torch, controls as ct
    >>> with torch.random.fork_rng():
    ...     _ = torch.manual_seed(0)
    ...     model = torch.nn.Sequential(torch.nn.Linear(6, 12), torch.nn.ReLU())
    >>> X = np.random.default_rng(0).normal(size=(120, 6)).astype(np.float32)
    >>> problem = ct.from_model(model, X, layer="1", labels=(X[:, 0] > 0).astype(int))
    >>> found = ct.difference_in_differences(ct.probes.RidgeProbe(), problem, labels=ct.ShuffleLabels(),
    ...                                      against=ct.Reinitialize(), draws=9)
    >>> str(found.verdict), len(found.redrawn)
    ('INCONCLUSIVE', 19)
    """
    clock = time.perf_counter()
    trained = _problems(problem, "problem")
    check_means(n_jobs, progress, title)
    whole_number(model_draws, "model_draws", low=1)
    whole_number(trainer_seeds, "trainer_seeds", low=1)
    study = Study(trainer, (labels,), scoring, cv, draws, alpha, smallest_effect, "fitted", seed)
    others = _against(against, trained, labels)
    first = prepare(study, trained[0])
    check_seeds(first.evaluator.trainer, trainer_seeds)
    count = len(others) if others is not None else model_draws
    crossing = Crossing(study, Means(n_jobs), progress, title, (len(trained) + count) * trainer_seeds, trainer_seeds)
    with opened(store) as kept:
        crossing.kept = kept
        own = crossing.scores((each, f"trained {number}") for number, each in enumerate(trained))
        drawn = crossing.scores(redrawn(trained, against, others, model_draws, seed, crossing))
    design = Design(crossing.df, first.evaluator.problem.n_units, labels.inference == "exact", crossing.enumerated)
    both = mean_of(own), mean_of(drawn)
    pairs = zip(own, drawn, strict=True)
    seeds = np.array([one.selectivities.mean() - other.selectivities.mean() for one, other in pairs])
    crossing.seconds = time.perf_counter() - clock
    return _record(crossing, first, both, difference(*both, design, seeds), (labels, against))


def _problems(given: Any, name: str) -> tuple[Problem, ...]:
    """Return one problem or several, which must agree in all but activations."""
    problems = (
        (given,) if isinstance(given, Problem) else tuple(given) if isinstance(given, (list, tuple)) else (given,)
    )
    if not problems:
        raise InputError(f"{name} must hold at least one problem, got none.")
    for each in problems:
        require_problem(each)
    for each in problems[1:]:
        _require_alike(problems[0], each, name)
    return problems


def _require_alike(one: Problem, other: Problem, name: str) -> None:
    same = (
        one.n == other.n
        and np.array_equal(one.labels, other.labels)  # type: ignore[arg-type]
        and one.unit == other.unit
        and np.array_equal(one.unit_codes, other.unit_codes)
        and one.groups.keys() == other.groups.keys()
        and all(np.array_equal(one.groups[group], other.groups[group]) for group in one.groups)
    )
    if not same:
        raise InputError(
            f"{name} must hold problems with the same rows, labels, groups and unit, so that models are scored alike, "
            "got ones that differ."
        )


def _against(against: Any, trained: Sequence[Problem], labels: Any) -> tuple[Problem, ...] | None:
    """Return the other models' problems; None where a control draws them."""
    if not isinstance(labels, Control) or labels.level != "labels":
        raise InputTypeError(f"labels must be a control on labels, such as ct.ControlTask(per='word'), got {labels!r}.")
    if isinstance(against, Control):
        if against.level in ("labels", "finding") or against.inference == "paired":
            raise InputTypeError(
                f"against must be a control that draws other models, such as ct.Reinitialize(), got {against!r}."
            )
        for each in trained:
            against.check(each)
        return None
    if not isinstance(against, (list, tuple)):
        raise InputTypeError(f"against must be a control on weights, or problems of other models, got {against!r}.")
    others = _problems(against, "against")
    _require_alike(trained[0], others[0], "against")
    return others


def _record(
    crossing: Crossing,
    prepared: Prepared,
    both: tuple[Scores, Scores],
    estimated: tuple[Estimate, tuple[Component, ...]],
    controls: tuple[Control, Any],
) -> DifferenceInDifferences:
    (own, redrawn), (found, components), (labels, against) = both, estimated, controls
    study, problem = crossing.study, prepared.evaluator.problem
    p = rank(own.selectivities, redrawn.selectivities, stream(study.seed, "rank of models"))
    several = len(own.own) > 1
    ends, control = bounds(found, study.alpha), isinstance(against, Control)
    evidence = Evidence(
        found, ends, p.upper, p.lower, p.floor, problem.n_units, None, several,
        score="the selectivity", control="that of the other models",
    )  # fmt: skip
    sizes, names = (len(own.own), len(redrawn.own)), ("trained", "redrawn" if control else "other")
    verdict, reason = judge_models(evidence, sizes, names, study.alpha, study.smallest_effect)
    ensemble = getattr(against, "ensemble", None) or f"drawn by {describe(against)}" if control else "given"
    what = f"models {ensemble}" if control else "the other models given"
    return DifferenceInDifferences(
        title=crossing.title or prepared.plan.trainer,
        metric=prepared.evaluator.metric.name,
        estimate=found,
        bounds=ends,
        trained=own.selectivities,
        redrawn=redrawn.selectivities,
        trained_scores=(float(own.own.mean()), float(own.drawn.mean())),
        redrawn_scores=(float(redrawn.own.mean()), float(redrawn.drawn.mean())),
        p_value=p.upper,
        p_lower=p.lower,
        p_floor=p.floor,
        inference="exact" if several else "ensemble",
        verdict=verdict,
        reason=reason,
        components=components,
        labels=describe(labels),
        against=describe(against) if control else f"{len(redrawn.own)} other models",
        null=f"Selectivities of the trained model{'s' if several else ''} and of {what} come from one law.",
        licenses=f"{'These trained models are' if several else 'This trained model is'} more selective than {what}; "
        f"{'of trainings like theirs' if several else 'of this one model, not of every training like it'}.",
        notes=_notes(problem, len(redrawn.own), several and isinstance(against, Control)),
        proofs=tuple(crossing.proofs),
        alpha=study.alpha,
        smallest_effect=study.smallest_effect,
        draws=prepared.plan.controls[0].draws,
        n=problem.n,
        n_units=problem.n_units,
        unit=problem.unit_name,
        seed=study.seed,
        seconds=crossing.seconds,
    )


def _notes(problem: Problem, n_redrawn: int, descended: bool) -> tuple[str, ...]:
    notes = []
    if descended:
        notes.append(
            "redrawn models share what the control keeps with the trained ones they are redrawn from: where that "
            "matters to the score, the test is conservative."
        )
    if n_redrawn == 1:
        notes.append("one other model: the interval speaks of that model, not of a law that it comes from.")
    if problem.unit is None:
        notes.append("NO UNIT WAS NAMED: rows are taken as independent of one another; intervals are too good if not.")
    elif problem.n_units < FEW_UNITS:
        notes.append(f"only {problem.n_units} units ({problem.unit}): the interval is approximate.")
    return tuple(notes)
