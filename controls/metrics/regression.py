"""Metrics of predicted numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from controls.core.metric import ColumnMetric
from controls.core.trainer import Output, Task
from controls.metrics._read import read
from controls.metrics._units import RowMean, Units, ratio

_SOME = 128  # rows whose median is a middle of all


@final
@dataclass(frozen=True)
class NegMeanSquaredError(RowMean):
    """Minus the mean squared error; ``scoring="neg_mean_squared_error"``.

    Cost: O(m B) time and memory for m rows and B columns.

    Examples
    --------
    >>> import numpy as np
    >>> from controls.core.trainer import Output
    >>> truth, said = np.array([[1.0], [2.0]]), np.array([[1.0], [4.0]])
    >>> NegMeanSquaredError().score(truth, Output(labels=said)).tolist()
    [-2.0]
    """

    name: ClassVar[str] = "neg_mean_squared_error"
    ceiling: ClassVar[float | None] = 0.0
    task: ClassVar[Task] = "regression"
    needs: ClassVar[str] = "labels"

    def rows(self, truth: np.ndarray, output: Output) -> np.ndarray:
        """Return minus the squared error of each row, shape (m, B)."""
        return -_squared_errors(truth, output)


@final
@dataclass(frozen=True)
class R2(ColumnMetric):
    """The share of the variance of the test rows that is predicted; ``scoring="r2"``.

    1 − (sum of squared errors) / (sum of squares about the mean of these rows). NaN where these rows
    are fewer than two or all the same (scikit-learn returns 1 or 0 for the latter).
    Cost: O(m B) time and memory for m rows and B columns.

    Examples
    --------
    >>> import numpy as np
    >>> from controls.core.trainer import Output
    >>> truth, said = np.array([[1.0], [2.0], [3.0]]), np.array([[1.0], [2.0], [2.0]])
    >>> R2().score(truth, Output(labels=said)).tolist()
    [0.5]
    """

    name: ClassVar[str] = "r2"
    ceiling: ClassVar[float | None] = 1.0
    task: ClassVar[Task] = "regression"
    chance_depends_on_fit: ClassVar[bool] = True  # the more was fitted to nothing, the further below 0
    needs: ClassVar[str] = "labels"

    def score(self, truth: np.ndarray, output: Output) -> np.ndarray:
        """Return the score of each column, shape (B,)."""
        errors = _squared_errors(truth, output).sum(axis=0)
        spread = ((truth - truth.mean(axis=0)) ** 2).sum(axis=0)
        varies = truth.max(axis=0) > truth.min(axis=0)
        return 1 - ratio(errors, np.where(varies, spread, 0.0))

    def without_units(self, truth: np.ndarray, output: Output, units: np.ndarray) -> np.ndarray:
        """Return the score of each column with each unit left out, about the mean of what is left; (G, B)."""
        grouped = Units.of(units)
        # About a median (of some rows: any middle will do), squares stay small next to what is left
        # when a far-out unit goes.
        centred = truth - np.median(truth[:: len(truth) // _SOME + 1], axis=0)
        sums = grouped.others(np.add, centred)
        spread = grouped.others(np.add, centred**2) - sums**2 / np.maximum(grouped.remaining, 1)
        errors = grouped.others(np.add, _squared_errors(truth, output))
        if not _vary_without_any(truth, units):
            low, high = grouped.others(np.minimum, truth, np.inf), grouped.others(np.maximum, truth, -np.inf)
            spread = np.where(high > low, spread, 0.0)
        return 1 - ratio(errors, spread)


def _vary_without_any(truth: np.ndarray, units: np.ndarray) -> bool:
    """Whether some rows show that every column varies whichever unit is left out; if not, it may all the same.

    Two pairs of rows that differ, of four units, are enough: one unit can take away one of them only.
    """
    rows = np.unique(units, return_index=True)[1][:_SOME]
    first, second = truth[rows[: len(rows) // 2 * 2 : 2]], truth[rows[1::2]]
    return bool(((first != second).sum(axis=0) >= 2).all())


def _squared_errors(truth: np.ndarray, output: Output) -> np.ndarray:
    return (truth - np.asarray(read(output, "labels"), dtype=np.float64)) ** 2
