"""Deviations of a fold's score: by leaving each unit out, or by resampling whole units."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from controls.core.errors import InputError
from controls.core.metric import ColumnMetric
from controls.core.rng import stream
from controls.core.trainer import Output
from controls.core.unit_score import UnitScore

RESAMPLES = 100  # where a metric has no influence values
A_FEW = 10  # draws that stand for all of a control where each is dear: resampled, or refitted without units


@dataclass(frozen=True, eq=False)
class Resampling:
    """How often each unit is drawn in each resample: one matter for all folds, columns and draws.

    Where every unit is tested in one fold, units are drawn within folds; where folds overlap, among
    all that are tested, so that a unit weighs the same wherever it is tested.
    """

    tests: tuple[np.ndarray, ...]  # unit of each test row of each fold
    n_units: int
    seed: int

    @cached_property
    def _strata(self) -> list[np.ndarray]:
        members = [np.unique(codes) for codes in self.tests]
        tested = np.unique(np.concatenate(members))
        return members if sum(map(len, members)) == len(tested) else [tested]

    @cached_property
    def weights(self) -> np.ndarray:
        """Times that each unit is drawn, (RESAMPLES, n_units)."""
        weights = np.zeros((RESAMPLES, self.n_units), dtype=np.int32)
        for number, stratum in enumerate(self._strata):
            equal = np.full(len(stratum), 1 / len(stratum))
            weights[:, stratum] = stream(self.seed, "resample", number).multinomial(len(stratum), equal, RESAMPLES)
        return weights

    def scale(self, codes: np.ndarray) -> float:
        """Return sqrt(G/(G−1) / RESAMPLES): G units drawn from G vary by (G−1)/G of what they stand for."""
        size = next(len(stratum) for stratum in self._strata if codes[0] in stratum)
        return float(np.sqrt(size / (size - 1) / RESAMPLES)) if size > 1 else np.nan


@dataclass(frozen=True, eq=False)
class FoldUnits:
    """The units of a fold's test rows."""

    codes: np.ndarray  # unit of each test row among all units, (m,)
    resampling: Resampling

    @property
    def local(self) -> np.ndarray:
        """Units of the test rows as numbers 0 … G_k−1."""
        return np.searchsorted(np.unique(self.codes), self.codes)

    def resamples(self) -> Iterator[np.ndarray]:
        """Yield test-row indices of each resample; all rows where it holds no unit of this fold."""
        rows = np.arange(len(self.codes))
        for weights in self.resampling.weights:
            drawn = np.repeat(rows, weights[self.codes])
            yield drawn if len(drawn) else rows


def resampled(
    score_of: Callable[[np.ndarray], np.ndarray], full: np.ndarray, units: FoldUnits, *, wanted: bool = True
) -> np.ndarray:
    """Return deviations (RESAMPLES, B) whose squares sum to the variance of the fold's score over units.

    Zeros where not ``wanted``.
    """
    if not wanted:
        return np.zeros((RESAMPLES, len(full)))
    values = np.stack([score_of(rows) for rows in units.resamples()])
    values = np.where(np.isnan(values), full, values)
    return (values - values.mean(axis=0)) * units.resampling.scale(units.codes)


def take(output: Output, which: np.ndarray) -> Output:
    """Return an output on some test rows (indices) or for some columns (a mask)."""
    at = (slice(None), which) if which.dtype == bool else (which,)
    return Output(
        *(None if part is None else part[at] for part in (output.labels, output.scores, output.probabilities))
    )


def column_deviations(
    metric: ColumnMetric, truth: np.ndarray, output: Output, full: np.ndarray, *, units: FoldUnits, wanted: np.ndarray
) -> tuple[np.ndarray, bool]:
    """Return (deviations, left out?): (G_k, B) by leaving units out, or (RESAMPLES, B) by resampling them.

    Resampling is dear: it is done for the ``wanted`` columns (B,) only, and the others' are zero.
    """
    left = metric.without_units(truth, output, units.local)
    if left is not None:
        return full - left, True
    deviations = np.zeros((RESAMPLES, len(full)))
    if wanted.any():
        few, cut = truth[:, wanted], take(output, wanted)
        deviations[:, wanted] = resampled(lambda rows: metric.score(few[rows], take(cut, rows)), full[wanted], units)
    return deviations, False


def mean_deviations(scores: np.ndarray, units: FoldUnits) -> np.ndarray:
    """Return deviations (G_k, 1) of a mean over rows, by leaving each unit out."""
    sums, sizes = np.bincount(units.local, scores), np.bincount(units.local)
    with np.errstate(invalid="ignore", divide="ignore"):
        left = (scores.sum() - sums) / (len(scores) - sizes)
    return (scores.mean() - left)[:, None]


def unit_deviations(score: UnitScore, units: FoldUnits) -> np.ndarray:
    """Return deviations (G_k, 1) of a score that knows its units, by leaving each unit out."""
    if score.n_rows != len(units.codes):
        raise InputError(
            f"a score made of rows must have values for each of the {len(units.codes)} test rows, got {score.n_rows}."
        )
    return (score - score.without_units(units.local))[:, None]
