"""Metrics of how precisely classes are found: average precision, and F1."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from controls.core.errors import InputError
from controls.core.metric import ColumnMetric
from controls.core.trainer import Output, Task
from controls.metrics._precision import average_precision, average_precision_without
from controls.metrics._read import read
from controls.metrics._units import Units, mean_defined, ratio

_Sum = Callable[[np.ndarray], np.ndarray]  # of rows (m, B), over all rows, or over those of all other units


@final
@dataclass(frozen=True)
class AveragePrecision(ColumnMetric):
    """The mean precision at the score of each positive row; ``scoring="average_precision"``.

    Of two classes the second is the positive one; of more, each is held against the rest, and the
    plain mean taken over those that have test rows. As in scikit-learn, rows of equal score stand at
    one threshold. NaN where no row is positive (scikit-learn returns 0). Labels that tell nothing
    score the share of positive rows.

    Cost: O(m log m) time per column and class, O(m sqrt(m)) where units are left out, O(m B) memory
    for m rows and B columns.

    Examples
    --------
    >>> import numpy as np
    >>> from controls.core.trainer import Output
    >>> truth, scores = np.array([[0], [0], [1], [1]]), np.array([[0.1], [0.4], [0.35], [0.8]])
    >>> AveragePrecision().score(truth, Output(scores=scores)).round(3).tolist()
    [0.833]
    """

    name: ClassVar[str] = "average_precision"
    ceiling: ClassVar[float | None] = 1.0
    task: ClassVar[Task] = "classification"
    needs: ClassVar[str] = "scores"

    def score(self, truth: np.ndarray, output: Output) -> np.ndarray:
        """Return the average precision of each column, shape (B,)."""
        return mean_defined(average_precision(scores, hits) for scores, hits in _against_the_rest(truth, output))

    def without_units(self, truth: np.ndarray, output: Output, units: np.ndarray) -> np.ndarray:
        """Return the average precision of each column without each unit, shape (G, B)."""
        curves = _against_the_rest(truth, output)
        return mean_defined(average_precision_without(scores, hits, units) for scores, hits in curves)

    def defined(self, class_counts: np.ndarray) -> np.ndarray:
        """Whether test rows with these class counts (C, B) hold a positive one; shape (B,)."""
        return (class_counts[1:] if len(class_counts) == 2 else class_counts).sum(axis=0) > 0


def _against_the_rest(truth: np.ndarray, output: Output) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield scores (m, B) and positive rows (m, B) of the second of two classes, or of each class."""
    scores = read(output, "scores")
    if scores.ndim == 2:
        yield scores, truth == 1
        return
    for code in range(scores.shape[2]):
        yield scores[:, :, code], truth == code


@final
@dataclass(frozen=True)
class F1(ColumnMetric):
    """The harmonic mean of precision and recall of the second of two classes; ``scoring="f1"``.

    As in scikit-learn it is 0 where that class neither occurs nor is predicted.
    Cost: O(m B) time and memory for m rows and B columns.

    Raises
    ------
    InputError
        Where there are more than two classes.

    Examples
    --------
    >>> import numpy as np
    >>> from controls.core.trainer import Output
    >>> truth, said = np.array([[0], [1], [1]]), np.array([[0], [1], [0]])
    >>> F1().score(truth, Output(labels=said)).round(3).tolist()
    [0.667]
    """

    name: ClassVar[str] = "f1"
    ceiling: ClassVar[float | None] = 1.0
    task: ClassVar[Task] = "classification"
    needs: ClassVar[str] = "labels"

    def score(self, truth: np.ndarray, output: Output) -> np.ndarray:
        """Return the score of each column, shape (B,)."""
        return self._f1(truth, output, _over_rows)

    def without_units(self, truth: np.ndarray, output: Output, units: np.ndarray) -> np.ndarray:
        """Return the score of each column with each unit left out, shape (G, B)."""
        grouped = Units.of(units)
        left = self._f1(truth, output, _over_others(grouped))
        return np.where(grouped.remaining > 0, left, np.nan)

    def _f1(self, truth: np.ndarray, output: Output, total: _Sum) -> np.ndarray:
        if truth.max(initial=0) > 1:
            raise InputError(
                f"scoring='f1' is for two classes, got {int(truth.max()) + 1}; use scoring='f1_macro', "
                "which averages the score of each class."
            )
        return np.nan_to_num(_f1_of(1, truth, read(output, "labels"), total))


@final
@dataclass(frozen=True)
class F1Macro(ColumnMetric):
    """The mean, over classes, of the F1 score of each; ``scoring="f1_macro"``.

    As in scikit-learn, over the classes that occur among the test rows or are predicted for them.
    Cost: O(C m B) time, O(m B) memory for m rows, B columns and C classes.

    Examples
    --------
    >>> import numpy as np
    >>> from controls.core.trainer import Output
    >>> truth, said = np.array([[0], [1], [2], [2]]), np.array([[0], [1], [1], [2]])
    >>> F1Macro().score(truth, Output(labels=said)).round(3).tolist()
    [0.778]
    """

    name: ClassVar[str] = "f1_macro"
    ceiling: ClassVar[float | None] = 1.0
    task: ClassVar[Task] = "classification"
    needs: ClassVar[str] = "labels"

    def score(self, truth: np.ndarray, output: Output) -> np.ndarray:
        """Return the score of each column, shape (B,)."""
        return self._mean(truth, output, _over_rows)

    def without_units(self, truth: np.ndarray, output: Output, units: np.ndarray) -> np.ndarray:
        """Return the score of each column with each unit left out, shape (G, B)."""
        return self._mean(truth, output, _over_others(Units.of(units)))

    def _mean(self, truth: np.ndarray, output: Output, total: _Sum) -> np.ndarray:
        said = read(output, "labels")
        last = int(max(truth.max(), said.max()))
        # A prediction that is no class has code −1, and is one more class that is never right.
        return mean_defined(_f1_of(code, truth, said, total) for code in range(-1, last + 1))


def _over_rows(rows: np.ndarray) -> np.ndarray:
    return rows.sum(axis=0)


def _over_others(grouped: Units) -> _Sum:
    return lambda rows: grouped.others(np.add, rows)


def _f1_of(code: int, truth: np.ndarray, said: np.ndarray, total: _Sum) -> np.ndarray:
    """Return 2 · right / (occurring + predicted) of one class; NaN where it neither occurs nor is predicted."""
    occurs, predicted = truth == code, said == code
    counts = total(occurs.astype(np.int64) + predicted)
    return ratio(2 * total((occurs & predicted).astype(np.int64)), counts)
