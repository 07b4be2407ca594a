"""Correlation of predicted numbers with those observed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from controls.core.metric import ColumnMetric
from controls.core.trainer import Output, Task
from controls.metrics._read import read
from controls.metrics._units import Units, ratio


@final
@dataclass(frozen=True)
class PearsonR(ColumnMetric):
    """The Pearson correlation of predicted and observed numbers; ``scoring="pearsonr"``, as in scipy.

    Unlike R² it does not mind the scale or the offset of predictions. NaN where the test rows, or
    what is predicted for them, are all the same. Cost: O(m B) time and memory for m rows and B columns.

    Examples
    --------
    >>> import numpy as np
    >>> from controls.core.trainer import Output
    >>> truth, said = np.array([[1.0], [2.0], [3.0]]), np.array([[10.0], [10.0], [40.0]])
    >>> PearsonR().score(truth, Output(labels=said)).round(3).tolist()
    [0.866]
    """

    name: ClassVar[str] = "pearsonr"
    ceiling: ClassVar[float | None] = 1.0
    task: ClassVar[Task] = "regression"
    needs: ClassVar[str] = "labels"

    def score(self, truth: np.ndarray, output: Output) -> np.ndarray:
        """Return the correlation of each column, shape (B,)."""
        said = np.asarray(read(output, "labels"), dtype=np.float64)
        x, y = (_unit(values - values.mean(axis=0)) for values in (truth, said))
        varies = (np.ptp(truth, axis=0) > 0) & (np.ptp(said, axis=0) > 0)
        return np.where(varies, np.clip((x * y).sum(axis=0), -1.0, 1.0), np.nan)

    def without_units(self, truth: np.ndarray, output: Output, units: np.ndarray) -> np.ndarray:
        """Return the correlation of each column with each unit left out, shape (G, B)."""
        grouped = Units.of(units)
        said = np.asarray(read(output, "labels"), dtype=np.float64)
        # About the median, and in units of their size, squares stay small next to what is left.
        x, y = (_unit(values - np.median(values, axis=0)) for values in (truth, said))
        sums = {name: grouped.others(np.add, rows) for name, rows in (("x", x), ("y", y))}
        rows = np.maximum(grouped.remaining, 1)

        def product(a: str, b: str, values: np.ndarray) -> np.ndarray:
            return grouped.others(np.add, values) - sums[a] * sums[b] / rows

        size = product("x", "x", x**2).clip(0) * product("y", "y", y**2).clip(0)
        varies = _varies(truth, grouped) & _varies(said, grouped)
        found = ratio(product("x", "y", x * y), np.sqrt(np.where(varies, size, 0.0)))
        return np.clip(found, -1.0, 1.0)


def _unit(centred: np.ndarray) -> np.ndarray:
    """Return columns divided by their length; by their largest value before, so that squares are numbers."""
    largest = np.abs(centred).max(axis=0)
    scaled = centred / np.where(largest > 0, largest, 1.0)
    length = np.sqrt((scaled**2).sum(axis=0))
    return scaled / np.where(length > 0, length, 1.0)


def _varies(values: np.ndarray, grouped: Units) -> np.ndarray:
    """Whether the rows of all other units differ from one another, shape (G, B)."""
    return grouped.others(np.maximum, values, -np.inf) > grouped.others(np.minimum, values, np.inf)
