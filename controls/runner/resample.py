"""Deviations of a fold's score: by leaving each unit out, or by resampling whole units."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from controls.core.metric import ColumnMetric
from controls.core.rng import stream
from controls.core.trainer import Output

RESAMPLES = 200  # where a metric has no influence values
A_FEW = 10  # draws that stand for all of a control where each is dear: resampled, or refitted without units


@dataclass(frozen=True)
class FoldUnits:
    """The units of a fold's test rows."""

    number: int  # of the fold
    codes: np.ndarray  # unit of each test row among all units, (m,)
    seed: int

    @property
    def members(self) -> np.ndarray:
        """The fold's units, sorted."""
        return np.unique(self.codes)

    @property
    def local(self) -> np.ndarray:
        """Units of the test rows as numbers 0 … G_k−1."""
        return np.searchsorted(self.members, self.codes)

    def resamples(self) -> list[np.ndarray]:
        """Return test-row indices of whole units drawn with replacement, the same for every column and draw."""
        local = self.local
        rows = np.split(np.argsort(local, kind="stable"), np.cumsum(np.bincount(local))[:-1])
        rng = stream(self.seed, "resample", self.number)
        return [np.concatenate([rows[g] for g in rng.integers(len(rows), size=len(rows))]) for _ in range(RESAMPLES)]


def resampled(
    score_of: Callable[[np.ndarray], np.ndarray], full: np.ndarray, units: FoldUnits, *, wanted: bool = True
) -> np.ndarray:
    """Return deviations (RESAMPLES, B) whose squares sum to the variance of the fold's score over units.

    Scaled by sqrt(G/(G−1)), since G units drawn from G vary by (G−1)/G of what they stand for. Zeros
    where not ``wanted``.
    """
    if not wanted:
        return np.zeros((RESAMPLES, len(full)))
    n_units = len(units.members)
    values = np.stack([score_of(rows) for rows in units.resamples()])
    centred = values - np.where(np.isnan(values), full, values).mean(axis=0)
    scale = np.sqrt(n_units / (n_units - 1) / len(values)) if n_units > 1 else np.nan
    return np.nan_to_num(centred, nan=0.0) * scale


def take(output: Output, which: np.ndarray) -> Output:
    """Return an output on some test rows (indices) or for some columns (a mask)."""
    at = (slice(None), which) if which.dtype == bool else (which,)
    return Output(
        *(None if part is None else part[at] for part in (output.labels, output.scores, output.probabilities))
    )


def column_deviations(
    metric: ColumnMetric, truth: np.ndarray, output: Output, full: np.ndarray, units: FoldUnits, wanted: np.ndarray
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
