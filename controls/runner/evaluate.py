"""Evaluate label columns: fit every fold, score what it did not see, and note what each unit did to the score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from controls.core.errors import ControlsError, InputError, TrainerError
from controls.core.metric import ColumnMetric, FindingMetric, Metric
from controls.core.problem import Problem
from controls.core.rng import stream
from controls.core.trainer import BatchTrainer, Engine, Output, Split, Task, Trainer
from controls.runner.folds import Choice, Folds
from controls.runner.resample import RESAMPLES, FoldUnits, column_deviations, mean_deviations, resampled

_KEPT_ENGINES = 8


@dataclass(frozen=True)
class Evaluation:
    """What B label columns scored."""

    scores: np.ndarray  # (B,), mean over folds; NaN where none was defined
    fold_scores: np.ndarray  # (K, B)
    deviations: np.ndarray  # (G, B) or (RESAMPLES, B): squares sum to the variance over units
    df: np.ndarray  # (B,), degrees of freedom of that variance


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
    _engines: dict[str, Engine] = field(default_factory=dict)

    @property
    def batched(self) -> bool:
        """Whether many columns are fitted in one engine call."""
        return isinstance(self.trainer, BatchTrainer) and isinstance(self.metric, ColumnMetric)

    @property
    def tolerance(self) -> float:
        """Scores closer than this count as tied."""
        return max((engine.tolerance for engine in self._engines.values()), default=0.0)

    def targets(self, labels: np.ndarray) -> np.ndarray:
        """Return label columns (n, B) as class codes, or as numbers; refuse labels the problem has not."""
        if self.task == "regression":
            return np.asarray(labels, dtype=np.float64)
        classes = self.problem.classes
        codes = np.searchsorted(classes, labels).clip(0, len(classes) - 1)
        if not (classes[codes] == labels).all():
            stranger = np.asarray(labels)[classes[codes] != labels][0]
            raise InputError(f"a control drew the label {stranger!r}, which the problem does not have.")
        return codes

    def evaluate(self, labels: np.ndarray) -> Evaluation:
        """Return what columns of labels (n, B) score."""
        targets = self.targets(labels)
        parts = []
        for choice in self.folds.choose(targets, self._usable):
            splits = self._restricted(choice.splits)
            columns = choice.columns
            fold_parts = [
                self._fold(choice, k, split, targets[:, columns], labels[:, columns]) for k, split in enumerate(splits)
            ]
            parts.append((columns, self._combine(fold_parts, splits, len(columns))))
        return _reassemble(parts, targets.shape[1])

    def _restricted(self, splits: Sequence[Split]) -> tuple[Split, ...]:
        if self.rows is None:
            return tuple(splits)
        keep = np.zeros(self.problem.n, dtype=bool)
        keep[self.rows] = True
        return tuple((train[keep[train]], test[keep[test]]) for train, test in splits)

    # -- what can be fitted and scored -------------------------------------------------------------

    def _usable(self, splits: Sequence[Split], targets: np.ndarray) -> np.ndarray:
        """Count, for each column, the folds that can be fitted and scored."""
        if self.task == "regression":
            return np.full(targets.shape[1], len(splits))
        return np.sum([self._fold_usable(split, targets) for split in splits], axis=0)

    def _fold_usable(self, split: Split, targets: np.ndarray) -> np.ndarray:
        train, test = split
        if not len(train) or not len(test):
            return np.zeros(targets.shape[1], dtype=bool)
        if self.task == "regression":
            return np.ones(targets.shape[1], dtype=bool)
        n_classes = len(self.problem.classes)
        in_train = (class_counts(targets[train], n_classes) > 0).sum(axis=0) >= 2
        if isinstance(self.metric, ColumnMetric):
            return in_train & self.metric.defined(class_counts(targets[test], n_classes))
        return in_train

    # -- one fold ----------------------------------------------------------------------------------

    def _fold(self, choice: Choice, k: int, split: Split, targets: np.ndarray, labels: np.ndarray) -> Any:
        """Return (scores (B,), deviations (G_k or RESAMPLES, B), by leaving out?) of one fold."""
        scores = np.full(targets.shape[1], np.nan)
        usable = np.flatnonzero(self._fold_usable(split, targets))
        if not len(usable):
            return scores, None, True
        units = FoldUnits(k, self.problem.unit_codes[split[1]], self.seed)
        if isinstance(self.metric, ColumnMetric):
            output = self._predict(choice, k, split, targets[:, usable], labels[:, usable])
            truth = targets[split[1]][:, usable]
            values = self.metric.score(truth, output)
            part, left_out = column_deviations(self.metric, truth, output, values, units)
        else:
            found = [self._score_finding(k, split, labels[:, column], units) for column in usable]
            values = np.array([value for value, _, _ in found])
            part = np.column_stack([deviation for _, deviation, _ in found])
            left_out = found[0][2]
        scores[usable] = values
        deviations = np.full((len(part), targets.shape[1]), np.nan)
        deviations[:, usable] = part
        return scores, deviations, left_out

    def _predict(self, choice: Choice, k: int, split: Split, targets: np.ndarray, labels: np.ndarray) -> Output:
        metric = self.metric
        assert isinstance(metric, ColumnMetric)
        if self.batched:
            return self._engine(choice).predict(k, targets, metric.needs)
        from controls.probes.outputs import outputs

        found = []
        for column in range(labels.shape[1]):
            finding = self._fit(k, split, labels[:, column])
            test = self.problem.X[split[1]]
            found.append(outputs(finding, test, metric.needs, self.problem.classes, self.task))
        return _side_by_side(found)

    def _engine(self, choice: Choice) -> Engine:
        if choice.key not in self._engines:
            trainer = self.trainer
            assert isinstance(trainer, BatchTrainer)
            n_classes = len(self.problem.classes) if self.task == "classification" else 0
            splits = self._restricted(choice.splits)
            if len(self._engines) >= _KEPT_ENGINES:  # folds that follow the labels are rarely met again
                del self._engines[next(iter(self._engines))]
            self._engines[choice.key] = trainer.engine(self.problem.X, splits, self.task, n_classes)
        return self._engines[choice.key]

    def _fit(self, k: int, split: Split, labels: np.ndarray | None) -> Any:
        problem = self.problem if labels is None else self.problem.with_labels(labels)
        try:
            return self.trainer.fit(problem.take(split[0]), stream(self.seed, "trainer", k))
        except ControlsError:
            raise
        except Exception as error:
            raise TrainerError(
                f"the trainer failed in fold {k} on {len(split[0])} rows: {type(error).__name__}: {error}"
            ) from error

    def _score_finding(
        self, k: int, split: Split, labels: np.ndarray, units: FoldUnits
    ) -> tuple[float, np.ndarray, bool]:
        metric = self.metric
        assert isinstance(metric, FindingMetric)
        problem = self.problem if self.problem.labels is None else self.problem.with_labels(labels)
        finding, test = self._fit(k, split, labels if problem.labels is not None else None), problem.take(split[1])
        score = metric(finding, test)
        if score.ndim == 1 and len(score) == test.n:
            return float(score.mean()), mean_deviations(score, units), True
        if score.ndim:
            raise InputError(f"scoring must return one number, or one per row ({test.n}), got shape {score.shape}.")
        values = resampled(lambda rows: np.atleast_1d(metric(finding, test.take(rows))), np.atleast_1d(score), units)
        return float(score), values, False

    # -- folds together ------------------------------------------------------------------------------

    def _combine(self, parts: list[Any], splits: Sequence[Split], n_columns: int) -> Evaluation:
        """Return mean scores over folds, and deviations of those means.

        A fold from which some unit cannot be left out (it has one unit, or one unit holds a whole
        class) is a unit of its own: its deviation is that of its score from the mean over folds.
        """
        fold_scores = np.stack([scores for scores, _, _ in parts])
        defined = ~np.isnan(fold_scores)
        count = defined.sum(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            means = np.where(count > 0, np.nansum(fold_scores, axis=0) / count, np.nan)
        left_out = all(flag for _, _, flag in parts)
        size = self.problem.n_units if left_out else RESAMPLES
        deviations, df = np.zeros((size, n_columns)), np.zeros(n_columns)
        thin_count = np.zeros(n_columns)
        for k, (scores, part, _) in enumerate(parts):
            if part is None:
                continue
            members = np.unique(self.problem.unit_codes[splits[k][1]])
            thin = defined[k] & np.isnan(part).any(axis=0)
            whole = defined[k] & ~thin
            slots = members if left_out else np.arange(RESAMPLES)
            deviations[slots[:, None], np.flatnonzero(whole)] += part[:, whole] / count[whole]
            if thin.any():
                scale = np.sqrt(count[thin] / np.maximum(count[thin] - 1, 1)) / count[thin]
                slot = members[0] if left_out else 0
                deviations[slot, thin] += (scores[thin] - means[thin]) * scale
            df += np.where(whole, len(members) - 1, 0)
            thin_count += thin
        df += np.maximum(thin_count - 1, 0)
        tested = len(np.unique(np.concatenate([self.problem.unit_codes[test] for _, test in splits])))
        return Evaluation(means, fold_scores, deviations, np.minimum(df, tested - 1))


def class_counts(targets: np.ndarray, n_classes: int) -> np.ndarray:
    """Return how often each class occurs in each column, (C, B)."""
    n_columns = targets.shape[1]
    flat = (targets + n_classes * np.arange(n_columns)).ravel()
    return np.bincount(flat, minlength=n_classes * n_columns).reshape(n_columns, n_classes).T


def _side_by_side(outputs: list[Output]) -> Output:
    """Return the outputs of single columns as one."""

    def join(parts: list[Any]) -> np.ndarray | None:
        return None if parts[0] is None else np.concatenate(parts, axis=1)

    return Output(
        join([output.labels for output in outputs]),
        join([output.scores for output in outputs]),
        join([output.probabilities for output in outputs]),
    )


def _reassemble(parts: list[tuple[np.ndarray, Evaluation]], n_columns: int) -> Evaluation:
    """Return the columns of several choices of folds in their own order."""
    if len(parts) == 1:
        return parts[0][1]
    n_folds = max(len(part.fold_scores) for _, part in parts)
    size = max(len(part.deviations) for _, part in parts)
    scores, df = np.full(n_columns, np.nan), np.zeros(n_columns)
    fold_scores, deviations = np.full((n_folds, n_columns), np.nan), np.zeros((size, n_columns))
    for columns, part in parts:
        scores[columns], df[columns] = part.scores, part.df
        fold_scores[: len(part.fold_scores), columns] = part.fold_scores
        deviations[: len(part.deviations), columns] = part.deviations
    return Evaluation(scores, fold_scores, deviations, df)
