"""The verb that crosses label controls with redrawn models: difference in differences."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any

import numpy as np

from controls.core.control import Control, describe
from controls.core.errors import InputError, InputTypeError
from controls.core.problem import Problem
from controls.core.result import Component, DifferenceInDifferences, Estimate
from controls.core.rng import stream
from controls.core.study import Study
from controls.core.trainer import BatchTrainer, Trainer
from controls.core.validate import whole_number
from controls.kept import opened, remember, site_title
from controls.runner.draws import draw_stream
from controls.runner.execute import Means, Progress, Run, run_plan
from controls.runner.prepare import Prepared, prepare, require_problem
from controls.runner.record import check_means
from controls.stats.differences import MOST_RELABELINGS, Design, Scores, difference, rank
from controls.stats.interval import FEW_UNITS, bounds
from controls.stats.verdict import Evidence, judge

Model = tuple[Problem, str]  # what a model gave, and a name for the store


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
    trained models, label draws, and seeds of the trainer, with degrees of freedom after Satterthwaite.

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
    _check_seeds(first.evaluator.trainer, trainer_seeds)
    count = len(others) if others is not None else model_draws
    crossing = _Crossing(study, Means(n_jobs), progress, title, (len(trained) + count) * trainer_seeds, trainer_seeds)
    with opened(store) as kept:
        crossing.kept = kept
        own = crossing.scores((each, f"trained {number}") for number, each in enumerate(trained))
        redrawn = crossing.scores(_redrawn(trained, against, others, model_draws, seed, crossing))
    design = Design(crossing.df, first.evaluator.problem.n_units, labels.inference == "exact", crossing.enumerated)
    both = _mean(own), _mean(redrawn)
    pairs = zip(own, redrawn, strict=True)
    seeds = np.array([one.selectivities.mean() - other.selectivities.mean() for one, other in pairs])
    crossing.seconds = time.perf_counter() - clock
    return _record(crossing, first, both, difference(*both, design, seeds), (labels, against))


class _Crossing:
    """Runs the same study on one model after the other, with the same drawn labels."""

    def __init__(
        self, study: Study, means: Means, progress: Progress | None, title: str, total: int, seeds: int
    ) -> None:
        self.study, self.means, self.progress, self.title = study, means, progress, title
        self.total, self.seeds, self.done = total, seeds, 0
        self.kept: Any = None
        self.df, self.enumerated = math.nan, False
        self.proofs: list[Any] = []
        self.seconds = 0.0

    def scores(self, models: Iterator[Model]) -> list[Scores]:
        """Return what the models scored, for each seed of the trainer."""
        runs: list[list[Run]] = [[] for _ in range(self.seeds)]
        for problem, name in models:
            prepared = prepare(self.study, problem)
            for number in range(self.seeds):
                runs[number].append(
                    self._run(_reseeded(prepared, number), f"{name}, seed {number}" if number else name)
                )
        return [_scores(each) for each in runs]

    def _run(self, prepared: Prepared, name: str) -> Run:
        memory = remember(prepared, self.kept, site_title(self.title, name))
        run = run_plan(prepared.plan, prepared.evaluator, means=replace(self.means, memory=memory))
        self.done += 1
        if self.progress is not None:
            self.progress(self.done, self.total, name)
        freedom = float(run.observed.df[0])
        self.df = freedom if math.isnan(self.df) else min(self.df, freedom)
        self.enumerated = prepared.plan.controls[0].enumerated
        return run


@dataclass(frozen=True)
class _Reseeded(Trainer):
    """A trainer with other random numbers."""

    inner: Trainer
    number: int

    @property
    def task(self) -> Any:
        """The task of the trainer itself."""
        return self.inner.task

    @property
    def provides(self) -> frozenset[str] | None:
        """What the trainer itself provides."""
        return self.inner.provides

    def fit(self, problem: Problem, rng: np.random.Generator) -> Any:
        """Fit with a stream that no other seed has."""
        return self.inner.fit(problem, rng.spawn(self.number + 1)[-1])


def _reseeded(prepared: Prepared, number: int) -> Prepared:
    if number == 0:
        return prepared
    trainer = _Reseeded(prepared.evaluator.trainer, number)
    return replace(prepared, evaluator=replace(prepared.evaluator, trainer=trainer, _engines={}))


def _check_seeds(trainer: Trainer, seeds: int) -> None:
    if seeds > 1 and isinstance(trainer, BatchTrainer):
        raise InputError(
            f"trainer_seeds must be 1 for {type(trainer).__name__}, which uses no random numbers, got {seeds}."
        )


def _scores(runs: Sequence[Run]) -> Scores:
    own = np.array([run.observed.scores[0] for run in runs])
    drawn = np.array([run.drawn[0].scores for run in runs])
    if np.isnan(own).any() or np.isnan(drawn).any():
        raise InputError(
            "scoring must be defined on every model and every draw for a difference in differences, got "
            f"{int(np.isnan(own).sum() + np.isnan(drawn).sum())} that are not (NaN, or a trainer that failed); use "
            "fewer folds, or a score that is always defined."
        )
    deviations = np.array([run.observed.deviations[:, 0] for run in runs])
    return Scores(own, drawn, deviations, np.array([run.drawn[0].deviations for run in runs]))


def _mean(parts: Sequence[Scores]) -> Scores:
    """Return the mean over seeds of the trainer."""
    names = ("own", "drawn", "deviations", "control_deviations")
    return Scores(*(np.mean([getattr(part, name) for part in parts], axis=0) for name in names))


def _redrawn(
    trained: Sequence[Problem],
    against: Any,
    others: Sequence[Problem] | None,
    count: int,
    seed: int,
    crossing: _Crossing,
) -> Iterator[Model]:
    """Yield what redrawn models gave, one at a time."""
    if others is not None:
        yield from ((each, f"other {number}") for number, each in enumerate(others))
        return
    for number in range(count):
        drawn = against.draw(trained[number % len(trained)], draw_stream(seed, against, number))
        if drawn.proof:
            crossing.proofs.append(dict(drawn.proof))
        yield drawn, f"redrawn {number}"


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
    )
    if not same:
        raise InputError(
            f"{name} must hold problems with the same rows, labels and unit, so that models are scored alike, got ones "
            "that differ."
        )


def _against(against: Any, trained: Sequence[Problem], labels: Any) -> tuple[Problem, ...] | None:
    """Return the other models' problems; None where a control draws them."""
    if not isinstance(labels, Control) or labels.level != "labels":
        raise InputTypeError(f"labels must be a control on labels, such as ct.ControlTask(per='word'), got {labels!r}.")
    if isinstance(against, Control):
        if against.level == "labels" or against.inference == "paired":
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
    crossing: _Crossing,
    prepared: Prepared,
    both: tuple[Scores, Scores],
    estimated: tuple[Estimate, tuple[Component, ...]],
    controls: tuple[Control, Any],
) -> DifferenceInDifferences:
    (own, redrawn), (found, components), (labels, against) = both, estimated, controls
    study, problem = crossing.study, prepared.evaluator.problem
    p = rank(own.selectivities, redrawn.selectivities, stream(study.seed, "rank of models"))
    several = len(own.own) > 1
    relabelings = math.comb(len(own.own) + len(redrawn.own), len(own.own))
    count = relabelings if several and relabelings <= MOST_RELABELINGS else None
    ends = bounds(found, study.alpha)
    evidence = Evidence(
        found, ends, p.upper, p.lower, p.floor, problem.n_units, count, several,
        score="the selectivity", control="that of the other models",
    )  # fmt: skip
    verdict, reason = judge(evidence, study.alpha, study.smallest_effect)
    control = isinstance(against, Control)
    ensemble = getattr(against, "ensemble", None) if control else "given as the others"
    what = f"models {ensemble}" if ensemble else f"models drawn by {describe(against)}"
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
        notes=_notes(problem),
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


def _notes(problem: Problem) -> tuple[str, ...]:
    if problem.unit is None:
        return ("NO UNIT WAS NAMED: rows are taken as independent of one another; intervals are too good if not.",)
    if problem.n_units < FEW_UNITS:
        return (f"only {problem.n_units} units ({problem.unit}): the interval is approximate.",)
    return ()
