"""Scores of one finding by a function of it: a number, a number per row, or a score made of rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from controls.core.errors import ControlsError, InputError
from controls.core.metric import FindingMetric
from controls.core.problem import Problem
from controls.core.unit_score import UnitScore
from controls.runner.evaluation import FoldPart
from controls.runner.resample import FoldUnits, mean_deviations, resampled, unit_deviations


def score_finding(
    metric: FindingMetric, finding: Any, test: Problem, *, fold: int, units: FoldUnits, wanted: bool
) -> FoldPart:
    """Return what a fold's finding scores on its test rows, and what each unit does to that."""
    score = _asked(metric, finding, test, fold)
    if isinstance(score, UnitScore):
        return FoldPart(np.array([score]), unit_deviations(score, units), True)
    if not metric.reads_rows and not score.ndim:  # no unit has a part in it
        return FoldPart(score[None], np.zeros((len(np.unique(units.codes)), 1)), True)
    if score.ndim == 1 and len(score) == test.n:
        return FoldPart(score.mean(keepdims=True), mean_deviations(score, units), True)
    if score.ndim:
        raise InputError(f"scoring must return one number, or one per row ({test.n}), got shape {score.shape}.")

    def again(rows: np.ndarray) -> np.ndarray:
        return np.asarray(metric(finding, test.take(rows)))[None]

    return FoldPart(score[None], resampled(again, score[None], units, wanted=wanted), False)


def _asked(metric: FindingMetric, finding: Any, test: Problem, fold: int) -> np.ndarray | UnitScore:
    try:
        return metric(finding, test)
    except ControlsError:
        raise
    except Exception as error:
        raise InputError(
            f"scoring={metric.name!r} failed in fold {fold} with {type(error).__name__}: {error}"
        ) from error
