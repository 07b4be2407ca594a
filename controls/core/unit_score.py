"""Scores that know what they would be without each unit; RowMeans, which is made of means over rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, final

import numpy as np

from controls.core.errors import InputError, InputTypeError, TrainerError


class UnitScore(float, ABC):
    """A score of a finding on rows: a number that knows what it would be without each unit."""

    @property
    @abstractmethod
    def n_rows(self) -> int:
        """Number of rows that it is of."""

    @abstractmethod
    def without_units(self, units: np.ndarray) -> np.ndarray:
        """Return the score without each unit in turn, shape (G,); NaN where no score is left.

        ``units`` are codes 0 … G−1 of the n rows.
        """

    @abstractmethod
    def __neg__(self) -> UnitScore:
        """Return the score with its sign turned, still one of rows."""


@final
class RowMeans(UnitScore):
    """A score that is a function of means over rows: a number, with what each row brings to it.

    A metric ``(finding, problem)`` that returns one gets intervals that are exact by leaving units
    out, without scoring a row twice: ratios of sums (explained variance) as much as plain means.

    Parameters
    ----------
    values : array of shape (n,) or (n, p)
        What each row brings: p numbers, whose means over rows are all that the score reads.
    combine : callable, optional
        ``combine(means)`` makes the score of the means: shape (..., p) to shape (...). Where there is
        one number per row, it may be left out: the score is their mean.

    Raises
    ------
    InputTypeError
        ``combine`` cannot be called.
    InputError
        No rows, other shapes, or no ``combine`` for several numbers per row.
    TrainerError
        Numbers that are not finite.

    Examples
    --------
    >>> def ratio(means):
    ...     return means[..., 0] / means[..., 1]
    >>> score = RowMeans([[1.0, 2.0], [1.0, 2.0], [4.0, 2.0]], ratio)
    >>> score, score.without_units(np.array([0, 0, 1]))
    (1.0, array([2. , 0.5]))
    """

    values: np.ndarray
    combine: Callable[[np.ndarray], Any] | None

    def __new__(cls, values: Any, combine: Callable[[np.ndarray], Any] | None = None) -> RowMeans:
        """Return the score of all rows."""
        rows = _checked(values, combine)
        self = super().__new__(cls, _combined(rows.mean(axis=0)[None], combine)[0])
        self.values, self.combine = rows, combine
        return self

    def __getnewargs__(self) -> tuple:  # type: ignore[override]
        """Travel to other processes as what it was made of."""
        return self.values, self.combine

    def __neg__(self) -> RowMeans:
        """Return the score with its sign turned, still one of rows."""
        return RowMeans(self.values, _Negated(self.combine))

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.values)

    def without_units(self, units: np.ndarray) -> np.ndarray:
        """Return the score without each unit in turn, shape (G,), in O(n p) time; NaN where no score is left."""
        sizes = np.bincount(units)
        sums = np.stack([np.bincount(units, column) for column in self.values.T], axis=1)
        left = len(self.values) - sizes
        scores = np.full(len(sizes), np.nan)
        some = left > 0
        with np.errstate(divide="ignore", invalid="ignore"):
            scores[some] = _combined((self.values.sum(axis=0) - sums[some]) / left[some, None], self.combine)
        return np.where(np.isfinite(scores), scores, np.nan)


class _Negated:
    def __init__(self, combine: Callable[[np.ndarray], Any] | None) -> None:
        self.combine = combine

    def __call__(self, means: np.ndarray) -> np.ndarray:
        return -_combined(means, self.combine)


def _checked(values: Any, combine: Any) -> np.ndarray:
    if combine is not None and not callable(combine):
        raise InputTypeError(f"combine must be a function of means (..., p), got {type(combine).__name__}.")
    rows = np.asarray(values, dtype=np.float64)
    rows = rows[:, None] if rows.ndim == 1 else rows
    if rows.ndim != 2 or not rows.size:
        raise InputError(f"values must have shape (n,) or (n, p) and not be empty, got {np.shape(values)}.")
    if combine is None and rows.shape[1] > 1:
        raise InputError(f"combine must be given where rows bring {rows.shape[1]} numbers each, got None.")
    if not np.isfinite(rows).all():
        bad = int((~np.isfinite(rows)).any(axis=1).sum())
        raise TrainerError(f"what rows bring to a score must be finite, got NaN or infinity in {bad} of {len(rows)}.")
    return rows


def _combined(means: np.ndarray, combine: Callable[[np.ndarray], Any] | None) -> np.ndarray:
    """Return the score of each row of means (G, p), shape (G,)."""
    return means[..., 0] if combine is None else np.asarray(combine(means), dtype=np.float64)
