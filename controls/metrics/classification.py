"""Metrics of predicted classes, scores and probabilities."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import numpy as np

from controls.core.errors import InputError
from controls.core.metric import ColumnMetric
from controls.core.trainer import Output, Task
from controls.metrics._pairs import auc, auc_without
from controls.metrics._read import read
from controls.metrics._units import RowMean, Units, mean_defined, ratio


@final
@dataclass(frozen=True)
class Accuracy(RowMean):
    """The share of rows whose class is predicted correctly; ``scoring="accuracy"``.

    Cost: O(m B) time and memory for m rows and B columns.

    Examples
    --------
    >>> import numpy as np
    >>> from controls.core.trainer import Output
    >>> truth, said = np.array([[0], [1], [1], [0]]), np.array([[0], [1], [0], [0]])
    >>> Accuracy().score(truth, Output(labels=said)).tolist()
    [0.75]
    >>> Accuracy().without_units(truth, Output(labels=said), np.array([0, 0, 1, 1])).tolist()
    [[0.5], [1.0]]
    """

    name: ClassVar[str] = "accuracy"
    ceiling: ClassVar[float | None] = 1.0
    task: ClassVar[Task] = "classification"
    needs: ClassVar[str] = "labels"

    def rows(self, truth: np.ndarray, output: Output) -> np.ndarray:
        """Return 1 where the class is right, shape (m, B)."""
        return (truth == read(output, "labels")).astype(np.float64)


@final
@dataclass(frozen=True)
class NegLogLoss(RowMean):
    """Minus the mean log loss, in nats; ``scoring="neg_log_loss"``.

    Probabilities are clipped to [eps, 1 − eps] with the eps of their own precision, as in scikit-learn.
    Cost: O(m B) time and memory for m rows and B columns.

    Examples
    --------
    >>> import numpy as np
    >>> from controls.core.trainer import Output
    >>> output = Output(probabilities=np.array([[[0.5, 0.5]], [[0.5, 0.5]]]))
    >>> round(float(NegLogLoss().score(np.array([[0], [1]]), output)[0]), 4)
    -0.6931
    """

    name: ClassVar[str] = "neg_log_loss"
    ceiling: ClassVar[float | None] = 0.0
    task: ClassVar[Task] = "classification"
    needs: ClassVar[str] = "probabilities"

    def rows(self, truth: np.ndarray, output: Output) -> np.ndarray:
        """Return the log probability of the true class, shape (m, B)."""
        probabilities = read(output, "probabilities")
        eps = np.finfo(probabilities.dtype).eps
        true = np.take_along_axis(probabilities, truth[:, :, None], axis=2)[:, :, 0]
        return np.log(np.clip(true, eps, 1 - eps).astype(np.float64))


@final
@dataclass(frozen=True)
class BalancedAccuracy(ColumnMetric):
    """The mean recall of the classes that the test rows hold; ``scoring="balanced_accuracy"``.

    As in scikit-learn, a class without test rows is left out of the mean.
    Cost: O(C m B) time, O(m B) memory for m rows, B columns and C classes.

    Examples
    --------
    >>> import numpy as np
    >>> from controls.core.trainer import Output
    >>> truth, said = np.array([[0], [0], [0], [1]]), np.array([[0], [0], [0], [0]])
    >>> BalancedAccuracy().score(truth, Output(labels=said)).tolist()
    [0.5]
    """

    name: ClassVar[str] = "balanced_accuracy"
    ceiling: ClassVar[float | None] = 1.0
    task: ClassVar[Task] = "classification"
    needs: ClassVar[str] = "labels"

    def score(self, truth: np.ndarray, output: Output) -> np.ndarray:
        """Return the score of each column, shape (B,)."""
        right = truth == read(output, "labels")
        members = (truth == code for code in range(int(truth.max()) + 1))
        return mean_defined(ratio((of & right).sum(axis=0), of.sum(axis=0)) for of in members)

    def without_units(self, truth: np.ndarray, output: Output, units: np.ndarray) -> np.ndarray:
        """Return the score of each column with each unit left out, shape (G, B)."""
        right, grouped = truth == read(output, "labels"), Units.of(units)
        return mean_defined(
            ratio(
                grouped.others(np.add, (of & right).astype(np.int64)),
                grouped.others(np.add, of.astype(np.int64)),
            )
            for of in (truth == code for code in range(int(truth.max()) + 1))
        )


class _Areas(ColumnMetric):
    """Areas under ROC curves: one per class that is held against the rest, averaged."""

    task: ClassVar[Task] = "classification"
    ceiling: ClassVar[float | None] = 1.0

    @abstractmethod
    def curves(self, truth: np.ndarray, output: Output) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the scores (m, B) and the positive rows (m, B) of each curve."""

    def score(self, truth: np.ndarray, output: Output) -> np.ndarray:
        """Return the area of each column, shape (B,); NaN where the test rows hold one class only."""
        return mean_defined(auc(scores, positive) for scores, positive in self.curves(truth, output))

    def without_units(self, truth: np.ndarray, output: Output, units: np.ndarray) -> np.ndarray:
        """Return the area of each column without each unit, shape (G, B); NaN where one class is left."""
        return mean_defined(auc_without(scores, positive, units) for scores, positive in self.curves(truth, output))

    def defined(self, class_counts: np.ndarray) -> np.ndarray:
        """Whether test rows with these class counts (C, B) hold at least two classes; shape (B,)."""
        return (class_counts > 0).sum(axis=0) >= 2


@final
@dataclass(frozen=True)
class RocAuc(_Areas):
    """The area under the ROC curve, for two classes; ``scoring="roc_auc"``. Ties count one half.

    Cost: O(m log m) time per column, O(m B) memory for m rows and B columns.

    Raises
    ------
    InputError
        Where there are more than two classes.

    Examples
    --------
    >>> import numpy as np
    >>> from controls.core.trainer import Output
    >>> truth, scores = np.array([[0], [0], [1], [1]]), np.array([[0.1], [0.4], [0.35], [0.8]])
    >>> RocAuc().score(truth, Output(scores=scores)).tolist()
    [0.75]
    """

    name: ClassVar[str] = "roc_auc"
    needs: ClassVar[str] = "scores"

    def curves(self, truth: np.ndarray, output: Output) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the one curve there is."""
        classes = _n_classes(output)
        if classes != 2:
            raise InputError(
                f"scoring='roc_auc' is for two classes, got {classes}; use scoring='roc_auc_ovr', "
                "which averages each class against the rest."
            )
        yield _second_class(output), truth == 1


@final
@dataclass(frozen=True)
class RocAucOvr(_Areas):
    """The area under the ROC curve of each class against the rest, averaged; ``scoring="roc_auc_ovr"``.

    The plain mean over those classes that have rows both in and out of them among the test rows.
    For two classes it is ``roc_auc``. Cost: O(C m log m) time per column, O(m B) memory for m rows,
    B columns and C classes.

    Parameters
    ----------
    needs : {"probabilities", "scores"}
        What is asked of the trainer: probabilities, as in scikit-learn, or scores where it has none.

    Examples
    --------
    >>> import numpy as np
    >>> from controls.core.trainer import Output
    >>> output = Output(probabilities=np.eye(3)[:, None, :])
    >>> RocAucOvr().score(np.array([[0], [1], [2]]), output).tolist()
    [1.0]
    """

    name: ClassVar[str] = "roc_auc_ovr"
    needs: Literal["probabilities", "scores"] = "probabilities"

    def curves(self, truth: np.ndarray, output: Output) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the curve of each class; only that of the second where there are two."""
        if _n_classes(output) == 2:
            yield _second_class(output), truth == 1
            return
        columns = read(output, "scores" if output.probabilities is None else "probabilities")
        for code in range(columns.shape[2]):
            yield columns[:, :, code], truth == code


def _n_classes(output: Output) -> int:
    columns = read(output, "probabilities" if output.scores is None else "scores")
    return 2 if columns.ndim == 2 else columns.shape[2]


def _second_class(output: Output) -> np.ndarray:
    """Return what ranks rows (m, B) by the second of two classes: scores, since they do not saturate."""
    if output.scores is not None:
        return output.scores
    return read(output, "probabilities")[:, :, 1]
