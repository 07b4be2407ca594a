"""Whether a dictionary's directions are the true ones: MMCS and recovery one to one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np

from controls.core.dictionary import as_dictionary
from controls.core.errors import InputError, TrainerError
from controls.core.problem import Problem
from controls.core.validate import as_activations, real_number, true_or_false
from controls.metrics._latents import firing_rates

_AT_ONCE = 1 << 24  # cosines of a block


@final
@dataclass(frozen=True, eq=False)
class MMCS:
    """Mean over true directions of the largest cosine with a direction of the dictionary (mean max cosine similarity).

    Parameters
    ----------
    truth : array of shape (k, d)
        The true directions, of any length above 0.
    absolute : bool, default False
        Whether a direction counts as found where its opposite is.
    alive_only : bool, default True
        Whether latents that fire on no row of the problem are left out. False needs no rows at all.

    Notes
    -----
    The largest of many cosines is far from 0 by chance alone. ``chance_cosine(m, d)`` is what
    isotropic random directions give, but that is too low a bar wherever activations have a
    covariance: dictionaries lean towards its large directions, as the truth does. The fair
    reference is the same trainer on ``ct.GaussianActivations`` (matched in covariance).
    O(k m d) time.

    Held-out rows are no replicates of this score: it is one of the dictionary alone.

    Raises
    ------
    InputError
        Truth that is no matrix, is not finite, or has a row of zeros; another width than the dictionary's.
    TrainerError
        A dictionary of which no latent is alive.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> truth = np.array([[1.0, 0.0], [0.0, -1.0]])
    >>> problem = ct.Problem(np.ones((3, 2)))
    >>> ct.metrics.MMCS(truth)(np.eye(2), problem), ct.metrics.MMCS(truth, absolute=True)(np.eye(2), problem)
    (0.5, 1.0)
    """

    truth: Any
    absolute: bool = False
    alive_only: bool = True

    ceiling: ClassVar[float] = 1.0
    reads_rows: ClassVar[bool] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "truth", as_directions(self.truth, "truth"))
        true_or_false(self.absolute, "absolute")
        true_or_false(self.alive_only, "alive_only")

    def __call__(self, finding: Any, problem: Problem) -> float:
        """Return the score of a finding."""
        return float(self.per_direction(finding, problem).mean())

    def per_direction(self, finding: Any, problem: Problem) -> np.ndarray:
        """Return the largest cosine of each true direction, shape (k,)."""
        found = usable_directions(finding, problem if self.alive_only else None)
        return largest_cosines(self.truth, found, absolute=self.absolute)


@final
@dataclass(frozen=True, eq=False)
class Recovery:
    """Share of true directions that are matched one to one by a direction of the dictionary.

    Directions are paired so that the sum of cosines is largest (Hungarian algorithm); a pair counts
    where its cosine is above the threshold. One latent cannot stand for two true directions, as it
    can in MMCS.

    Parameters
    ----------
    truth : array of shape (k, d)
        The true directions, of any length above 0.
    threshold : float, default 0.9
        The cosine above which a direction counts as recovered.
    absolute : bool, default False
        Whether a direction counts as found where its opposite is.
    alive_only : bool, default True
        Whether latents that fire on no row of the problem are left out.

    Notes
    -----
    True directions beyond the number of latents stay unmatched and count as not recovered. O(k m d)
    time and k · m numbers of memory, and the assignment (under 10 s for 3,200 × 3,200).

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> problem = ct.Problem(np.ones((3, 3)))
    >>> truth = np.array([[1.0, 0.1, 0.0], [1.0, -0.1, 0.0], [0.0, 0.0, 2.0]])
    >>> recovery = ct.metrics.Recovery(truth)
    >>> round(recovery(np.eye(3), problem), 3), recovery.matched_cosines(np.eye(3), problem).round(2)
    (0.667, array([0.1, 1. , 1. ]))
    """

    truth: Any
    threshold: float = 0.9
    absolute: bool = False
    alive_only: bool = True

    ceiling: ClassVar[float] = 1.0
    reads_rows: ClassVar[bool] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "truth", as_directions(self.truth, "truth"))
        real_number(self.threshold, "threshold", low=-1, high=1)
        true_or_false(self.absolute, "absolute")
        true_or_false(self.alive_only, "alive_only")

    def __call__(self, finding: Any, problem: Problem) -> float:
        """Return the score of a finding."""
        matched = self.matched_cosines(finding, problem)
        return float((np.nan_to_num(matched, nan=-1.0) > self.threshold).mean())

    def matched_cosines(self, finding: Any, problem: Problem) -> np.ndarray:
        """Return the cosine of each true direction with its partner, shape (k,); NaN where it has none."""
        found = usable_directions(finding, problem if self.alive_only else None)
        return matched_cosines(self.truth, found, absolute=self.absolute)


def as_directions(value: Any, name: str) -> np.ndarray:
    """Return rows at length 1, float64, read-only; refuse rows of zeros."""
    rows = np.asarray(as_activations(getattr(value, "directions", value), name), dtype=np.float64)
    lengths = np.linalg.norm(rows, axis=1)
    if not lengths.all():
        raise InputError(f"{name} must have no rows of zeros, got {int((lengths == 0).sum())}; leave them out.")
    directions = rows / lengths[:, None]
    directions.flags.writeable = False
    return directions


def usable_directions(finding: Any, problem: Problem | None) -> np.ndarray:
    """Return decoder directions that are not zero, of latents that fire on the problem where one is given, (m', d)."""
    dictionary = as_dictionary(finding)
    directions = dictionary.directions
    usable = np.asarray(directions.any(axis=1))
    if problem is not None:
        usable &= firing_rates(dictionary, problem) > 0
    if not usable.any():
        raise TrainerError(
            f"a dictionary must have a latent that fires and has a direction, got none of {len(usable)}; "
            "train longer, or with a smaller penalty."
        )
    return directions[usable]


def largest_cosines(ours: np.ndarray, theirs: np.ndarray, *, absolute: bool = False) -> np.ndarray:
    """Return for each of our directions (k, d) its largest cosine with one of theirs (m, d), shape (k,)."""
    same_width(ours, theirs)
    largest = np.empty(len(ours))
    size = max(1, _AT_ONCE // len(theirs))
    for start in range(0, len(ours), size):
        cosines = ours[start : start + size] @ theirs.T
        largest[start : start + size] = (np.abs(cosines) if absolute else cosines).max(axis=1)
    return np.minimum(largest, 1.0)


def matched_cosines(ours: np.ndarray, theirs: np.ndarray, *, absolute: bool = False) -> np.ndarray:
    """Return for each of our directions (k, d) the cosine with its partner one to one, (k,); NaN without partner."""
    from scipy.optimize import linear_sum_assignment

    same_width(ours, theirs)
    cosines = ours @ theirs.T
    cosines = np.abs(cosines) if absolute else cosines
    rows, columns = linear_sum_assignment(cosines, maximize=True)
    matched = np.full(len(ours), np.nan)
    matched[rows] = np.minimum(cosines[rows, columns], 1.0)
    return matched


def same_width(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Refuse directions in spaces of different dimension."""
    if ours.shape[1] != theirs.shape[1]:
        raise InputError(
            f"directions must have the dictionary's {theirs.shape[1]} features, got {ours.shape[1]}; "
            "compare directions of the same site."
        )
