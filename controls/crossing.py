"""The same study of one model after another: same rows, folds and drawn labels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from controls.core.errors import CannotControl, InputError
from controls.core.problem import Problem
from controls.core.study import Study
from controls.core.trainer import BatchTrainer, Trainer
from controls.kept import remember, site_title
from controls.probes.from_sklearn import EstimatorTrainer, fixed_seed
from controls.runner.draws import draw_stream, start_of
from controls.runner.execute import Means, Progress, Run, run_plan
from controls.runner.prepare import Prepared, prepare
from controls.stats.differences import Scores

Model = tuple[Problem, str]  # what a model gave, and a name for the store


class Crossing:
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
        self.first: Problem | None = None

    def scores(self, models: Iterator[Model]) -> list[Scores]:
        """Return what the models scored, for each seed of the trainer."""
        runs: list[list[Run]] = [[] for _ in range(self.seeds)]
        for problem, name in models:
            self.first = self.first or problem
            if not np.array_equal(problem.labels, self.first.labels):  # type: ignore[arg-type]
                raise InputError(
                    "against must keep the labels of the problem, so that models are scored alike, but drew others; "
                    "leave controls on labels out of it, and give them as labels=."
                )
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
class Reseeded(Trainer):
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
    trainer = Reseeded(prepared.evaluator.trainer, number)
    return replace(prepared, evaluator=replace(prepared.evaluator, trainer=trainer, _engines={}))


def check_seeds(trainer: Trainer, seeds: int) -> None:
    """Refuse several seeds of a trainer that uses no random numbers, or always the same ones."""
    if seeds > 1 and isinstance(trainer, BatchTrainer):
        raise InputError(
            f"trainer_seeds must be 1 for {type(trainer).__name__}, which uses no random numbers, got {seeds}."
        )
    if seeds > 1 and isinstance(trainer, EstimatorTrainer) and (name := fixed_seed(trainer.estimator)):
        raise InputError(
            f"trainer_seeds must be 1 for an estimator whose {name} is fixed, since all its seeds are alike, got "
            f"{seeds}; leave {name} None."
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
    return Scores(
        own,
        drawn,
        deviations,
        np.array([run.drawn[0].deviations for run in runs]),
        np.array([run.drawn[0].variance for run in runs]),
    )


def mean_of(parts: Sequence[Scores]) -> Scores:
    """Return the mean over seeds of the trainer."""
    names = ("own", "drawn", "deviations", "control_deviations", "drawn_variance")
    return Scores(*(np.mean([getattr(part, name) for part in parts], axis=0) for name in names))


def redrawn(
    trained: Sequence[Problem],
    against: Any,
    others: Sequence[Problem] | None,
    count: int,
    seed: int,
    crossing: Crossing,
) -> Iterator[Model]:
    """Yield what redrawn models gave, one at a time."""
    if others is not None:
        yield from ((each, f"other {number}") for number, each in enumerate(others))
        return
    starts = [start_of(seed, against, problem) for problem in trained]
    for number in range(count):
        drawn = against.draw(starts[number % len(starts)], draw_stream(seed, against, number))
        if isinstance(drawn.X, np.ndarray) and np.array_equal(drawn.X, trained[number % len(trained)].X):
            raise CannotControl(
                f"against must draw models with other activations, but those of draw {number} are the same to the bit; "
                "see which parameters the control redraws, and whether the source reads its model."
            )
        if drawn.proof:
            crossing.proofs.append(dict(drawn.proof))
        yield drawn, f"redrawn {number}"
