"""One paired comparison: the observed score beside that of a single draw, unit by unit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from controls.core.result import Comparison, Verdict
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
NOTHING_READ = (
    "no exact control on labels stands beside this one: where neither side reads anything, folds that share training "
    "units err together, which swaps cannot see, and p and interval are too sure (false alarms of up to .14 at alpha "
    ".05 were counted); put ShuffleLabels into the battery, and this verdict will ask for both"
)


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


def beside_labels(comparisons: Sequence[Comparison], alpha: float, n_folds: int) -> list[Comparison]:
    """Return comparisons of which paired ones find one side better only where the observed side is shown to read.

    Swaps take units as independent. Where one side reads something they nearly are; where neither
    does, folds that share training units err together. The null of a paired comparison is both
    cases, and it is rejected where both are: the one by the swaps, the other by every exact control
    on labels of the battery (Berger 1982). Where there is none, a caveat says so.
    """
    exact = [c for c in comparisons if c.level == "labels" and c.inference == "exact"]
    if n_folds == 1:  # no unit is tested in one fold and trained on in another
        return list(comparisons)
    return [_beside(c, exact, alpha) if c.inference == "paired" else c for c in comparisons]


def _beside(pair: Comparison, exact: Sequence[Comparison], alpha: float) -> Comparison:
    if not exact:
        return replace(pair, caveats=(*pair.caveats, NOTHING_READ))
    worst = max(exact, key=lambda comparison: comparison.p_value)
    found = replace(pair, claim_p=max(pair.claim_p, worst.p_value))
    if worst.p_value <= alpha or pair.verdict not in (Verdict.SELECTIVE, Verdict.NEGLIGIBLE):
        return found
    reason = (
        f"p = {pair.p_value:.3g} by swaps, but {worst.p_value:.3g} of {worst.control}: that anything is read at all is "
        "not shown, and where nothing is, folds err together and swaps prefer one side too often"
    )
    return replace(found, verdict=Verdict.INCONCLUSIVE, reason=reason, licensed=False)


def max_t_pairs(runs: Sequence[Run], position: int, draws: int, seed: int, tolerance: float) -> np.ndarray:
    """Return the max-T p of several sites, each beside the same draw; every swap is made at all sites at once."""
    columns = [_differences(run.observed, run.drawn[position]) for run in runs]
    size = next((len(column) for column in columns if column is not None), 1)
    table = np.stack([np.full(size, np.nan) if column is None else column for column in columns], axis=1)
    made = swap(table, draws, stream(seed, "swap"))
    return max_t(made.observed, made.swapped, enumerated=made.enumerated, tolerance=tolerance)
