"""Labels of several columns: each is fitted and scored as if alone, and the score is the mean over them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from controls.core.errors import InputError
from controls.core.label_sets import LabelSets
from controls.core.problem import Problem
from controls.core.study import Study
from controls.core.trainer import Task
from controls.runner.evaluation import Evaluation, reassemble
from controls.runner.plan import columns_together

if TYPE_CHECKING:
    from controls.runner.evaluate import Evaluator


def are_numbers(labels: np.ndarray) -> bool:
    """Whether floating labels (n, k) hold anything but 0 and 1."""
    return labels.dtype.kind == "f" and not np.isin(labels, (0, 1)).all()


def check_columns(problem: Problem, study: Study, task: Task) -> None:
    """Refuse columns that are constant or of the wrong kind, and controls that read the labels themselves."""
    labels = problem.labels
    for column in range(labels.shape[1]):
        if (labels[:, column] == labels[0, column]).all():
            first = labels[0, column].item()
            raise InputError(
                f"labels must not be constant, got {first!r} in all {problem.n} rows of column {column}; leave it out."
            )
    if task == "regression" and labels.dtype.kind not in "fiub":
        raise InputError(f"labels must be numbers for regression, got dtype {labels.dtype}; use a classifier.")
    if task == "classification":
        _check_indicators(labels)
    for control in study.controls:
        if control.level == "labels" and not getattr(control, "moves_labels_only", False):
            raise InputError(
                f"labels must have shape (n,) for {control.name}, which reads the labels that it changes, got "
                f"{labels.shape}; measure one column at a time."
            )


def _check_indicators(labels: np.ndarray) -> None:
    for column, values in enumerate(labels.T):
        strange = values[~np.isin(values, (0, 1))] if labels.dtype.kind != "U" else values
        if len(strange):
            raise InputError(
                "labels of several columns must be 0 and 1 (or False and True) for classification, got "
                f"{strange[0].item()!r} in column {column}; encode it, or use scoring='r2' or a regressor for numbers."
            )


def first_column(problem: Problem) -> Problem:
    """Return the problem with the first of its label columns; itself, where there is but one."""
    sets = problem.label_sets
    return problem if sets is None else problem.relabelled(sets.table[problem.labels, 0], None)


def evaluate_sets(evaluator: Evaluator, sets: LabelSets, labels: np.ndarray, wanted: np.ndarray) -> Evaluation:
    """Return what columns of set numbers (n, B) score: the mean over the k label columns of each.

    Deviations are means too, so that what the columns share counts as shared. A draw has no score
    where one of its columns has none. Of B · k columns, as many are fitted in one go as rows allow; of a
    single draw, each by itself, so that what each unit adds is known.
    """
    numeric = LabelSets(sets.table.astype(np.float64 if evaluator.task == "regression" else np.int64))
    codes = np.asarray(evaluator.problem.labels)
    single = evaluator.problem.relabelled(numeric.table[codes, 0], None)
    alone = replace(evaluator, problem=single, sets=None, findings=None)
    one = labels.shape[1] == 1
    total, size = labels.shape[1] * sets.k, 1 if one else columns_together(len(labels))
    parts = []
    for start in range(0, total, size):
        which = np.arange(start, min(start + size, total))
        found = alone.evaluate(numeric.columns(labels, which), wanted=wanted[which // sets.k])
        parts.append((which, found))
    found = _averaged(reassemble(parts, total), sets.k)
    return replace(found, shares=_mean_shares([part for _, part in parts])) if one else found


def _mean_shares(parts: Sequence[Evaluation]) -> np.ndarray | None:
    """Return the mean over columns of what each unit adds; None where that is not known of all alike."""
    shares = [part.shares for part in parts if part.shares is not None]
    alike = len(shares) == len(parts) and len({len(some) for some in shares}) == 1
    return np.mean(shares, axis=0) if alike else None


def _averaged(found: Evaluation, k: int) -> Evaluation:
    """Return the means over groups of k neighbouring columns; of a fold, over those that it could score."""
    scores, fold_scores, deviations, df = (part.reshape(*part.shape[:-1], -1, k) for part in found.parts)
    known = ~np.isnan(fold_scores)
    sums, counts = np.where(known, fold_scores, 0.0).sum(axis=-1), known.sum(axis=-1)
    means = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    return Evaluation(scores.mean(axis=-1), means, deviations.mean(axis=-1), df.min(axis=-1), found.left_out)
