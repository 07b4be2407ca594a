"""One paired comparison: the observed score beside that of a single draw, unit by unit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from controls.core.rng import stream
from controls.runner.collected import Drawn
from controls.runner.evaluation import Evaluation
from controls.runner.execute import Run
from controls.stats.multiple import max_t
from controls.stats.paired import paired_p_values, swap
from controls.stats.pvalue import PValues

APPROXIMATE = (
    "the score is no mean over rows, so that what a unit adds to it is known to first order (by leaving it out), "
    "and so is p"
)
BY_FOLDS = "the score cannot be had without a unit, so that whole folds were swapped, of which there are {}"
UNDEFINED = "the other side had no defined score, which counts as if it had beaten the observed one"


@dataclass(frozen=True)
class Pair:
    """What the comparison of two scores on the same units gave."""

    p: PValues
    enumerated: bool  # every swap was made
    n_blocks: int  # units, or folds, that trade places
    caveats: tuple[str, ...]


def compare_pair(observed: Evaluation, drawn: Drawn, draws: int, seed: int, tolerance: float) -> Pair:
    """Return p-values of the difference of two scores by swapping them unit by unit, or fold by fold."""
    differences = _differences(observed, drawn)
    if differences is None:
        return Pair(PValues(1.0, 1.0, 1.0, None), False, 0, (UNDEFINED,))
    p = paired_p_values(differences, draws, stream(seed, "swap"), tolerance=tolerance)
    n_blocks = len(differences)
    return Pair(p, p.interval is None, n_blocks, _caveats(observed, differences, float(drawn.scores[0])))


def _differences(observed: Evaluation, drawn: Drawn) -> np.ndarray | None:
    """Return what each unit (or fold) adds to the difference; None where one of the scores is not defined."""
    if np.isnan(drawn.scores[0]) or observed.shares is None or drawn.shares is None:
        return None
    return observed.shares - drawn.shares if observed.shares.shape == drawn.shares.shape else None


def _caveats(observed: Evaluation, differences: np.ndarray, other: float) -> tuple[str, ...]:
    if not observed.left_out:
        return (BY_FOLDS.format(len(differences)),)
    exact = math.isclose(float(differences.sum()), float(observed.scores[0]) - other, abs_tol=1e-9)
    return () if exact else (APPROXIMATE,)


def max_t_pairs(runs: Sequence[Run], position: int, draws: int, seed: int, tolerance: float) -> np.ndarray:
    """Return the max-T p of several sites, each beside the same draw; every swap is made at all sites at once."""
    columns = [_differences(run.observed, run.drawn[position]) for run in runs]
    size = next((len(column) for column in columns if column is not None), 1)
    table = np.stack([np.full(size, np.nan) if column is None else column for column in columns], axis=1)
    made = swap(table, draws, stream(seed, "swap"))
    return max_t(made.observed, made.swapped, enumerated=made.enumerated, tolerance=tolerance)
