"""The "expected" target: how the whole study varies when units are left out and everything is refitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from controls.core.errors import TrainerError
from controls.core.problem import Problem
from controls.core.rng import stream
from controls.runner.attempt import Evaluate, attempted
from controls.runner.evaluate import Evaluator
from controls.runner.evaluation import Evaluation

GROUPS = 30  # groups of units that are left out in turn


def group_count(problem: Problem) -> int:
    """Return how many groups of units are left out in turn."""
    return min(GROUPS, problem.n_units)


@dataclass(frozen=True, eq=False)
class Refits:
    """Delete-a-group jackknife of the mean scores of several sets of label columns.

    Units are dealt to at most 30 groups. Without each group the study is run anew, in the same
    folds, so that deviations hold what other training units would have changed as well. Their
    squares sum to the jackknife variance, which is biased upwards if at all (Efron and Stein 1981).

    Parameters
    ----------
    evaluator : Evaluator
    sets : sequence of arrays (n, B)
        The observed labels, then a few draws of each control.

    Notes
    -----
    A draw that has no score without one of the groups (its trainer failed, twice, or a class is gone)
    is left out of its set's means everywhere, so that all groups are compared on the same draws.
    Costs as many refits of these columns as there are groups.
    """

    evaluator: Evaluator
    sets: Sequence[np.ndarray]

    def scores(self, group: int) -> np.ndarray:
        """Return the scores of all columns, set after set, refitted without a group of units."""
        part = replace(self.evaluator, rows=np.flatnonzero(self._groups() != group), _engines={})
        labels = np.concatenate(list(self.sets), axis=1)

        def evaluate(columns: np.ndarray) -> Evaluation:
            return part.evaluate(labels[:, columns], wanted=np.zeros(len(columns), dtype=bool))

        return _scores(evaluate, labels.shape[1])

    def means(self, scores: np.ndarray) -> np.ndarray:
        """Return the mean score of each set without each of M groups, (M, sets), of scores (M, columns)."""
        ends = np.cumsum([some.shape[1] for some in self.sets])[:-1]
        known = [some[:, ~np.isnan(some).any(axis=0)] for some in np.split(scores, ends, axis=1)]
        return np.stack([some.mean(axis=1) if some.size else np.full(len(scores), np.nan) for some in known], axis=1)

    def _groups(self) -> np.ndarray:
        """Return the group of each row."""
        problem, count = self.evaluator.problem, group_count(self.evaluator.problem)
        group = np.empty(problem.n_units, dtype=np.int64)
        group[stream(self.evaluator.seed, "jackknife").permutation(problem.n_units)] = (
            np.arange(problem.n_units) % count
        )
        return group[problem.unit_codes]


def _scores(evaluate: Evaluate, count: int) -> np.ndarray:
    """Return the scores of columns, the first of which is the observed one; NaN where the trainer failed twice."""
    try:
        return evaluate(np.arange(count)).scores
    except TrainerError:
        observed = evaluate(np.arange(1))
    rest = attempted(lambda columns: evaluate(columns + 1), 1, np.zeros(count - 1, dtype=bool), observed)
    return np.concatenate([observed.scores, rest.evaluation.scores])


def jackknife_deviations(means: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return, from the means (M, sets) without each of M groups, M deviations of each set: M − 1 degrees of freedom."""
    count = len(means)
    return tuple(((means - means.mean(axis=0)) * np.sqrt((count - 1) / count)).T)
