"""Attempts: a draw whose trainer fails is tried again, and then recorded as a failure; never dropped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from controls.core.errors import TrainerError
from controls.runner.evaluation import Evaluation, reassemble

Evaluate = Callable[[np.ndarray], Evaluation]  # of some columns of a block, by their positions


@dataclass(frozen=True)
class Part:
    """What a block of draws scored."""

    start: int  # the first draw
    evaluation: Evaluation
    wanted: np.ndarray  # (B,), which are among the few that get deviations where those are dear
    failures: tuple[tuple[int, str], ...]  # draws whose trainer failed twice, and how; their scores are NaN
    proofs: tuple[Mapping[str, float], ...] = ()  # of draws that prove themselves, one each


def attempted(evaluate: Evaluate, start: int, wanted: np.ndarray, observed: Evaluation) -> Part:
    """Evaluate a block of draws; where that fails twice, each column by itself; where one fails, record it."""
    columns = np.arange(len(wanted))
    whole = _twice(evaluate, columns)
    if isinstance(whole, Evaluation):
        return Part(start, whole, wanted, ())
    parts, failures = [], []
    for column in columns:
        found = whole if len(columns) == 1 else _twice(evaluate, columns[[column]])
        if not isinstance(found, Evaluation):
            failures.append((start + int(column), str(found)))
            found = _nothing(observed)
        parts.append((columns[[column]], found))
    return Part(start, reassemble(parts, len(columns)), wanted, tuple(failures))


def _twice(evaluate: Evaluate, columns: np.ndarray) -> Evaluation | TrainerError:
    """Return what columns score, or how the trainer failed at the second attempt, with the same random stream."""
    try:
        return evaluate(columns)
    except TrainerError:
        pass
    try:
        return evaluate(columns)
    except TrainerError as error:
        return error


def _nothing(like: Evaluation) -> Evaluation:
    """Return an evaluation of one column that has no score."""
    scores, fold_scores, deviations, df = (np.zeros((*part.shape[:-1], 1)) for part in like.parts)
    return Evaluation(scores + np.nan, fold_scores + np.nan, deviations, df, like.left_out)
