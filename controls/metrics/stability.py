"""Whether dictionaries of several seeds agree, with an interval over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np

from controls.core.errors import InputError, InputTypeError
from controls.core.problem import Problem
from controls.core.result import Estimate
from controls.core.validate import one_of, real_number, true_or_false
from controls.metrics.recovery import largest_cosines, matched_cosines, usable_directions

_FEW = 20  # seeds under which an interval is approximate


@final
@dataclass(frozen=True)
class SeedStability:
    """Mean agreement of pairs of dictionaries that differ in their seed.

    Its findings are sequences of at least two dictionaries, as ``ct.finders.Seeds(trainer, n)`` finds them.

    Parameters
    ----------
    match : {"largest", "one_to_one"}, default "largest"
        How two dictionaries are compared: by the mean over directions of the largest cosine with one of
        the other's (MMCS), from either side, averaged; or by the mean cosine of directions matched one to
        one (Hungarian algorithm), of the smaller dictionary's number.
    absolute : bool, default False
        Whether opposite directions agree.
    alive_only : bool, default True
        Whether latents that fire on no row of the problem are left out.

    Notes
    -----
    Agreement is no evidence that features are the model's: dictionaries of structureless data agree too,
    where the covariance leads them to the same directions, and two that were held at the same
    directions agree wholly. Compare with ``chance_cosine(m, d)`` at least, and with the same seeds
    on ``ct.GaussianActivations``. Held-out rows are no replicates of this score. O(S² m² d) time.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> problem = ct.Problem(np.ones((3, 2)))
    >>> findings = [np.eye(2), np.eye(2)[::-1], np.array([[1.0, 0.0], [0.6, 0.8]])]
    >>> ct.metrics.SeedStability().matrix(findings, problem).round(2)
    array([[nan, 1. , 0.9],
           [1. , nan, 0.9],
           [0.9, 0.9, nan]])
    >>> round(ct.metrics.SeedStability()(findings, problem), 3)
    0.933
    """

    match: str = "largest"
    absolute: bool = False
    alive_only: bool = True

    ceiling: ClassVar[float] = 1.0
    reads_rows: ClassVar[bool] = False

    def __post_init__(self) -> None:
        one_of(self.match, "match", ("largest", "one_to_one"))
        true_or_false(self.absolute, "absolute")
        true_or_false(self.alive_only, "alive_only")

    def __call__(self, findings: Sequence[Any], problem: Problem) -> float:
        """Return the mean over pairs."""
        return float(np.nanmean(self.matrix(findings, problem)))

    def matrix(self, findings: Sequence[Any], problem: Problem) -> np.ndarray:
        """Return the agreement of each pair, shape (S, S); NaN on the diagonal."""
        if not isinstance(findings, Sequence) or isinstance(findings, (str, bytes)):
            raise InputTypeError(
                "findings must be a sequence of dictionaries of several seeds, got "
                f"{type(findings).__name__}; train with ct.finders.Seeds(trainer, 2)."
            )
        if len(findings) < 2:
            raise InputError(f"findings must be at least 2 dictionaries, got {len(findings)}.")
        found = [usable_directions(finding, problem if self.alive_only else None) for finding in findings]
        matrix = np.full((len(found), len(found)), np.nan)
        for i in range(len(found)):
            for j in range(i):
                matrix[i, j] = matrix[j, i] = self._agreement(found[i], found[j])
        return matrix

    def _agreement(self, ours: np.ndarray, theirs: np.ndarray) -> float:
        if self.match == "one_to_one":
            return float(np.nanmean(matched_cosines(ours, theirs, absolute=self.absolute)))
        there = largest_cosines(ours, theirs, absolute=self.absolute).mean()
        back = largest_cosines(theirs, ours, absolute=self.absolute).mean()
        return float((there + back) / 2)

    def estimate(self, findings: Sequence[Any], problem: Problem, *, level: float = 0.95) -> Estimate:
        """Return the mean over pairs with an interval over seeds.

        Pairs share seeds: S seeds are S replicates, not S(S − 1)/2. The jackknife takes out one seed
        with all its pairs; its variance is too large rather than too small (Efron and Stein 1981).
        NaN for two seeds, which are one pair.

        Parameters
        ----------
        findings : sequence of dictionaries
        problem : Problem
        level : float, default 0.95

        Returns
        -------
        Estimate
        """
        real_number(level, "level", low=0, high=1)
        return jackknifed(self.matrix(findings, problem), level)


def jackknifed(matrix: np.ndarray, level: float) -> Estimate:
    """Return the mean over pairs (S, S) with a jackknife interval over what is paired: t with S − 1 df."""
    from scipy import stats

    n = len(matrix)
    value = float(np.nanmean(matrix))
    if n < 3:
        return Estimate(value, math.nan, math.nan, level, math.nan, n - 1, "expected", True)
    sums = np.nansum(matrix, axis=1)
    without = (sums.sum() - 2 * sums) / ((n - 1) * (n - 2))
    error = math.sqrt((n - 1) / n * np.square(without - without.mean()).sum())
    reach = float(stats.t.ppf((1 + level) / 2, n - 1)) * error
    return Estimate(value, value - reach, value + reach, level, error, n - 1, "expected", n < _FEW)
