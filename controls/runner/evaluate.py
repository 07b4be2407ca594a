"""Evaluate label columns: fit every fold, score what it did not see, and note what each unit did to the score."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any

import numpy as np

from controls.core.arrays import take_rows
from controls.core.dictionary import remarks_of
from controls.core.errors import ControlsError, InputError, TrainerError
from controls.core.label_sets import LabelSets
from controls.core.metric import ColumnMetric, FindingMetric, Metric
from controls.core.problem import Problem
from controls.core.rng import stream
from controls.core.trainer import BatchTrainer, Engine, Output, Split, Task, Trainer
from controls.runner.evaluation import Evaluation, FoldPart, Message, combine, reassemble
from controls.runner.folds import Choice, Folds, SplitterFolds
from controls.runner.label_columns import evaluate_sets
from controls.runner.redraw import Redraw
from controls.runner.resample import FoldUnits, Resampling, column_deviations
from controls.runner.score_finding import score_finding

_KEPT_ENGINES = 8
_MAKING_ENGINES = Lock()  # of this process: evaluators are sent to others, where a lock cannot follow


@dataclass(frozen=True)
class Columns:
    """B label columns: as labels, as the engine's targets, and which get deviations where those are dear."""

    labels: np.ndarray  # (n, B)
    targets: np.ndarray  # (n, B), class codes or numbers; read-only, so that engines may keep what they make of them
    wanted: np.ndarray  # (B,)

    def __post_init__(self) -> None:
        view = self.targets.view()
        view.flags.writeable = False
        object.__setattr__(self, "targets", view)

    def take(self, which: np.ndarray) -> Columns:
        """Return some of the columns; ``which`` rises."""
        if len(which) == self.targets.shape[1]:
            return self
        return Columns(self.labels[:, which], self.targets[:, which], self.wanted[which])


@dataclass(frozen=True, eq=False)
class Evaluator:
    """Fits and scores label columns on one problem's activations."""

    trainer: Trainer
    problem: Problem
    metric: Metric
    folds: Folds
    task: Task
    seed: int
    rows: np.ndarray | None = None  # only these rows, in the folds of the whole problem
    sets: LabelSets | None = None  # what labels stand for, where they are several columns taken as one
    ready: Mapping[int, Any] | None = None  # findings by fold, where they were made beside those of other draws
    redraw: Redraw | None = None  # of what is found, where a control acts on that
    findings: dict[int, Any] | None = None  # of the problem itself, by fold, where controls on findings need them
    remarks: dict[int, tuple[str, ...]] | None = None  # of dictionaries on how they were found, by fold
    _engines: dict[str, Engine] = field(default_factory=dict)

    @property
    def batched(self) -> bool:
        """Whether many columns are fitted in one engine call."""
        together = isinstance(self.trainer, BatchTrainer) and isinstance(self.metric, ColumnMetric)
        return together and self.redraw is None

    @property
    def concurrent(self) -> bool:
        """Whether blocks may be evaluated by several threads at once; not where a splitter of others is asked."""
        trainer = self.trainer
        able = isinstance(trainer, BatchTrainer) and trainer.concurrent
        return able and self.batched and not isinstance(self.folds, SplitterFolds)

    @property
    def tolerance(self) -> float:
        """Scores closer than this count as tied."""
        return max((engine.tolerance for engine in self._engines.values()), default=0.0)

    def drawn(self, problem: Problem) -> Evaluator:
        """Return the evaluator of a problem that a control drew from this one's."""
        return replace(self, problem=problem, findings=None, remarks=None, _engines={})

    def evaluate(self, labels: np.ndarray, *, wanted: np.ndarray | None = None) -> Evaluation:
        """Return what columns of labels (n, B) score.

        Where deviations can only be had by resampling, the columns ``wanted`` (B,) get them; all
        where None.
        """
        every = np.ones(labels.shape[1], dtype=bool) if wanted is None else wanted
        if self.sets is not None and isinstance(self.metric, ColumnMetric):
            return evaluate_sets(self, self.sets, labels, every)
        everything = Columns(labels, self.targets(labels), every)
        parts = []
        for choice in self.folds.choose(everything.targets, self._usable):
            splits = self._restricted(choice.splits)
            columns = everything.take(choice.columns)
            tests = tuple(self.problem.unit_codes[test] for _, test in splits)
            resampling = Resampling(tests, self.problem.n_units, self.seed)
            fold_parts = [
                self._fold(choice, k, split, columns, FoldUnits(codes, resampling))
                for k, (split, codes) in enumerate(zip(splits, tests, strict=True))
            ]
            message = Message.of(splits, self._unfitted) if self.folds.online else None
            combined = combine(fold_parts, splits, self.problem.unit_codes, self.problem.n_units, message)
            parts.append((choice.columns, combined))
        return reassemble(parts, labels.shape[1])

    def targets(self, labels: np.ndarray) -> np.ndarray:
        """Return label columns (n, B) as class codes, or as numbers; refuse labels the problem has not."""
        if self.task == "regression" or self.problem.labels is None:
            return np.asarray(labels, dtype=np.float64)
        classes = self.problem.classes
        codes = np.searchsorted(classes, labels).clip(0, len(classes) - 1)
        strange = classes[codes] != labels
        if strange.any():
            stranger = np.asarray(labels)[strange][0].item()
            raise InputError(f"a control drew the label {stranger!r}, which the problem does not have; fix its draw.")
        return codes

    def _restricted(self, splits: Sequence[Split]) -> tuple[Split, ...]:
        if self.rows is None:
            return tuple(splits)
        keep = np.zeros(self.problem.n, dtype=bool)
        keep[self.rows] = True
        return tuple((train[keep[train]], test[keep[test]]) for train, test in splits)

    # -- what can be fitted and scored -------------------------------------------------------------

    def _usable(self, splits: Sequence[Split], targets: np.ndarray) -> np.ndarray:
        """Count, for each column, the folds that can be fitted and scored."""
        return np.sum([self._fold_usable(split, targets) for split in splits], axis=0)

    def _fold_usable(self, split: Split, targets: np.ndarray) -> np.ndarray:
        train, test = split
        if not len(train) or not len(test):
            return np.zeros(targets.shape[1], dtype=bool)
        if self.task == "regression" or self.problem.labels is None:
            return np.ones(targets.shape[1], dtype=bool)
        n_classes = len(self.problem.classes)
        fine = (class_counts(targets[train], n_classes) > 0).sum(axis=0) >= 2
        if isinstance(self.metric, ColumnMetric):
            fine &= self.metric.defined(class_counts(targets[test], n_classes))
        return fine

    @property
    def _unfitted(self) -> float:
        """What a fold scores in which nothing can be fitted."""
        return math.nan if self.problem.labels is None else self.metric.unfitted(len(self.problem.classes))

    # -- one fold ----------------------------------------------------------------------------------

    def _fold(self, choice: Choice, k: int, split: Split, columns: Columns, units: FoldUnits) -> FoldPart:
        scores = np.full(columns.targets.shape[1], self._unfitted)
        usable = np.flatnonzero(self._fold_usable(split, columns.targets))
        if not len(usable):
            return FoldPart(scores, None, True)
        by_columns = isinstance(self.metric, ColumnMetric)
        score = self._score_columns if by_columns else self._score_findings
        found = score(choice, k, split, columns.take(usable), units)
        scores[usable] = found.scores
        assert found.deviations is not None
        deviations = np.full((len(found.deviations), len(scores)), np.nan)
        deviations[:, usable] = found.deviations
        return FoldPart(scores, deviations, found.left_out)

    def _score_columns(self, choice: Choice, k: int, split: Split, columns: Columns, units: FoldUnits) -> FoldPart:
        metric = self.metric
        assert isinstance(metric, ColumnMetric)
        output = self._predict(choice, k, split, columns)
        truth = columns.targets[split[1]]
        scores = metric.score(truth, output)
        deviations, left_out = column_deviations(metric, truth, output, scores, units=units, wanted=columns.wanted)
        return FoldPart(scores, deviations, left_out)

    def _predict(self, choice: Choice, k: int, split: Split, columns: Columns) -> Output:
        assert isinstance(self.metric, ColumnMetric)
        needs = self.metric.needs
        if self.batched:
            return self._predict_together(choice, k, split, columns.targets)
        return _side_by_side([self._predict_one(k, split, labels, needs) for labels in columns.labels.T])

    def _predict_together(self, choice: Choice, k: int, split: Split, targets: np.ndarray) -> Output:
        assert isinstance(self.metric, ColumnMetric)
        try:
            return self._engine(choice).predict(k, targets, self.metric.needs)
        except ControlsError:
            raise
        except Exception as error:
            raise TrainerError(
                f"the trainer failed in fold {k}, on {targets.shape[1]} label columns of {len(split[0])} rows, "
                f"with {type(error).__name__}: {error}"
            ) from error

    def _predict_one(self, k: int, split: Split, labels: np.ndarray, needs: str) -> Output:
        from controls.probes.outputs import outputs

        finding, classes = self._fit(k, split, labels), self.problem.classes if self.task == "classification" else None
        try:
            return outputs(finding, take_rows(self.problem.X, split[1]), needs, classes, self.task)
        except TrainerError as error:
            raise TrainerError(f"in fold {k}, predicting {len(split[1])} rows: {error}") from error

    def _engine(self, choice: Choice) -> Engine:
        with _MAKING_ENGINES:
            if choice.key not in self._engines:
                trainer = self.trainer
                assert isinstance(trainer, BatchTrainer)
                n_classes = len(self.problem.classes) if self.task == "classification" else 0
                if len(self._engines) >= _KEPT_ENGINES:  # folds that follow the labels are rarely met again
                    del self._engines[next(iter(self._engines))]
                splits = self._restricted(choice.splits)
                self._engines[choice.key] = trainer.engine(self.problem.X, splits, self.task, n_classes)
            return self._engines[choice.key]

    def _fit(self, k: int, split: Split, labels: np.ndarray) -> Any:
        """Return what is found in the training rows, or what a control puts in its place."""
        if self.ready is not None:
            return self.ready[k]
        training = self._labelled(labels).take(split[0])
        if self.redraw is not None:
            return self._redrawn(self.redraw, k, training)
        finding = self._fitted(self.trainer, k, training)
        if self.findings is not None:
            self.findings[k] = finding
        if self.remarks is not None:
            self.remarks[k] = remarks_of(finding)
        return finding

    def _redrawn(self, redraw: Redraw, k: int, training: Problem) -> Any:
        def observed() -> Any:
            known = {} if self.findings is None else self.findings
            if k not in known:
                known[k] = self._fitted(self.trainer, k, training)
            return known[k]

        def fit(trainer: Trainer) -> Any:
            return self._fitted(trainer, k, training)

        return redraw.finding(k, training, self.trainer, fit=fit, observed=observed)

    def of_draws(self, problems: Sequence[Problem]) -> list[Evaluator]:
        """Return the evaluator of each problem drawn from this one's; fits of several are made together.

        Raises TrainerError where that fails, whichever problem it is that makes it fail.
        """
        own: list[Evaluator] = [self.drawn(problem) for problem in problems]
        if len(own) == 1:
            return own

        def fits(train: np.ndarray, rngs: list[np.random.Generator], _fold: int) -> list[Any]:
            return self.trainer.fit_many([problem.take(train) for problem in problems], rngs)

        return self._fitted_together(own, fits)

    def of_redraws(self, redraws: Sequence[Redraw]) -> list[Evaluator]:
        """Return the evaluator of each draw of a control on findings; those of several hold training back.

        Raises TrainerError where that fails, whichever draw it is that makes it fail.
        """
        own: list[Evaluator] = [replace(self, redraw=redraw) for redraw in redraws]
        if len(own) == 1:
            return own

        def fits(train: np.ndarray, rngs: list[np.random.Generator], fold: int) -> list[Any]:
            training = self.problem.take(train)
            trainers = [redraw.held_back(fold, training, self.trainer) for redraw in redraws]
            return trainers[0].fit_beside(trainers, training, rngs)

        return self._fitted_together(own, fits)

    def _fitted_together(self, own: Sequence[Evaluator], fits: Callable[..., list[Any]]) -> list[Evaluator]:
        """Return evaluators with the findings of every fold, each fitted from the fold's own stream."""
        found: list[dict[int, Any]] = [{} for _ in own]
        for k, (train, _) in enumerate(self.folds.default()):
            rngs = [stream(self.seed, "trainer", k) for _ in own]
            with _naming(k, len(train)):
                findings = fits(train, rngs, k)
            for ready, finding in zip(found, findings, strict=True):
                ready[k] = finding
        return [replace(each, ready=ready) for each, ready in zip(own, found, strict=True)]

    def _fitted(self, trainer: Trainer, k: int, training: Problem) -> Any:
        """Fit the training rows; every column and draw gets the fold's own stream, so that nothing else differs."""
        with _naming(k, training.n):
            return trainer.fit(training, stream(self.seed, "trainer", k))

    def _labelled(self, labels: np.ndarray) -> Problem:
        if self.problem.labels is None:
            return self.problem
        return self.problem.relabelled(labels if self.sets is None else self.sets.table[labels], None)

    def _score_findings(self, choice: Choice, k: int, split: Split, columns: Columns, units: FoldUnits) -> FoldPart:
        found = [
            self._score_finding(k, split, labels, units, wanted)
            for labels, wanted in zip(columns.labels.T, columns.wanted, strict=True)
        ]
        scores = np.concatenate([part.scores for part in found])
        deviations = [part.deviations for part in found if part.deviations is not None]
        return FoldPart(scores, np.column_stack(deviations), found[0].left_out)

    def _score_finding(self, k: int, split: Split, labels: np.ndarray, units: FoldUnits, wanted: bool) -> FoldPart:
        assert isinstance(self.metric, FindingMetric)
        finding, test = self._fit(k, split, labels), self._labelled(labels).take(split[1])
        return score_finding(self.metric, finding, test, fold=k, units=units, wanted=wanted)


@contextmanager
def _naming(fold: int, rows: int) -> Iterator[None]:
    """Say in which fold a trainer failed."""
    try:
        yield
    except TrainerError as error:
        raise TrainerError(f"in fold {fold}, on {rows} rows: {error}") from error
    except ControlsError:
        raise
    except Exception as error:
        raise TrainerError(
            f"the trainer failed in fold {fold}, on {rows} rows, with {type(error).__name__}: {error}"
        ) from error


def class_counts(targets: np.ndarray, n_classes: int) -> np.ndarray:
    """Return how often each class occurs in each column, (C, B)."""
    if n_classes == 2:
        second = targets.sum(axis=0)
        return np.stack([len(targets) - second, second])
    n_columns = targets.shape[1]
    flat = (targets + n_classes * np.arange(n_columns)).ravel()
    return np.bincount(flat, minlength=n_classes * n_columns).reshape(n_columns, n_classes).T


def _side_by_side(outputs: Sequence[Output]) -> Output:
    """Return the outputs of single columns as one."""

    def join(parts: list[Any]) -> np.ndarray | None:
        return None if parts[0] is None else np.concatenate(parts, axis=1)

    return Output(
        join([output.labels for output in outputs]),
        join([output.scores for output in outputs]),
        join([output.probabilities for output in outputs]),
    )
