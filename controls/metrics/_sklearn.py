"""Any scikit-learn scorer as a metric of columns: predictions already made are replayed to it."""

from __future__ import annotations

import inspect
import warnings
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils.metaestimators import available_if

from controls.core.errors import InputError
from controls.core.metric import ColumnMetric
from controls.core.trainer import Output, Task

_READS = {"predict": "labels", "decision_function": "scores", "predict_proba": "probabilities"}


def is_scorer(value: Any) -> bool:
    """Whether this is what ``sklearn.metrics.make_scorer`` returns."""
    return callable(value) and hasattr(value, "_score_func") and hasattr(value, "_response_method")


@final
@dataclass(frozen=True)
class ScorerMetric(ColumnMetric):
    """A scikit-learn scorer, called once per column with the predictions that were made.

    Truth and labels are class codes 0 … C−1, so that the positive class of two is 1. A scorer that
    reads scores or probabilities is undefined (NaN) where the test rows lack one of the classes.

    Parameters
    ----------
    label : str
        The name to print; that of scikit-learn where there is one.
    scorer : callable
        What ``sklearn.metrics.get_scorer`` or ``make_scorer`` returns.

    Raises
    ------
    InputError
        Where the scorer refuses these labels, such as ``f1`` with three classes.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.metrics import get_scorer
    >>> metric = ScorerMetric("f1", get_scorer("f1"))
    >>> truth, said = np.array([[0], [1], [1]]), np.array([[0], [1], [0]])
    >>> round(float(metric.score(truth, Output(labels=said))[0]), 3)
    0.667
    """

    label: str
    scorer: Any

    @property
    def name(self) -> str:
        """The name to print."""
        return self.label

    @property
    def task(self) -> Task:
        """Regression for the scorers of scikit-learn's regression module, otherwise classification."""
        module = getattr(inspect.unwrap(self.scorer._score_func), "__module__", "") or ""
        return "regression" if module == "sklearn.metrics._regression" else "classification"

    @property
    def needs(self) -> str:
        """The prediction that the scorer prefers."""
        methods = self.scorer._response_method  # one name, or several in order of preference
        first = methods if isinstance(methods, str) else methods[0]
        return _READS.get(first, "labels")

    def score(self, truth: np.ndarray, output: Output) -> np.ndarray:
        """Return the score of each column, shape (B,); one call of the scorer each."""
        return np.array([self._column(truth[:, b], output, b) for b in range(truth.shape[1])])

    def defined(self, class_counts: np.ndarray) -> np.ndarray:
        """Whether test rows with these class counts (C, B) hold what the scorer needs; shape (B,)."""
        if self.needs == "labels":
            return np.ones(class_counts.shape[1], dtype=bool)
        return np.asarray((class_counts > 0).all(axis=0))

    def _column(self, truth: np.ndarray, output: Output, b: int) -> float:
        parts = (output.labels, output.scores, output.probabilities)
        made = [None if part is None else part[:, b] for part in parts]
        if self.task == "regression":
            predictor: Any = _ReplayRegressor(made[0])
        else:
            predictor = _ReplayClassifier(*made, n_classes=_n_classes(truth, *made))
            counts = np.bincount(truth, minlength=len(predictor.classes_))
            if not self.defined(counts[:, None])[0]:
                return float("nan")
        rows = np.arange(len(truth))[:, None]
        with warnings.catch_warnings():
            # Draws reach the edges of a metric often; the score says so, and a study warns once.
            warnings.simplefilter("ignore", UndefinedMetricWarning)
            warnings.simplefilter("ignore", UserWarning)
            try:
                return float(self.scorer(predictor, rows, truth))
            except (ValueError, AttributeError) as error:
                raise InputError(f"scoring={self.name!r} cannot score these predictions: {error}") from error


def _n_classes(truth: np.ndarray, labels: Any, scores: Any, probabilities: Any) -> int:
    for columns in (probabilities, scores):
        if columns is not None:
            return 2 if columns.ndim == 1 else columns.shape[1]
    return max(2, int(max(truth.max(), labels.max())) + 1)


def _has(name: str) -> Any:
    return available_if(lambda self: getattr(self, name) is not None)


class _ReplayRegressor(RegressorMixin, BaseEstimator):
    """Stands in for a fitted regressor: its X is the column of row numbers."""

    def __init__(self, labels: Any = None) -> None:
        self.labels = labels

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def predict(self, X: np.ndarray) -> np.ndarray:
        return self.labels[X[:, 0]]


class _ReplayClassifier(ClassifierMixin, BaseEstimator):
    """Stands in for a fitted classifier: its X is the column of row numbers."""

    def __init__(
        self, labels: Any = None, scores: Any = None, probabilities: Any = None, *, n_classes: int = 2
    ) -> None:
        self.labels = labels
        self.scores = scores
        self.probabilities = probabilities
        self.n_classes = n_classes

    @property
    def classes_(self) -> np.ndarray:
        return np.arange(self.n_classes)

    def __sklearn_is_fitted__(self) -> bool:
        return True

    @_has("labels")
    def predict(self, X: np.ndarray) -> np.ndarray:
        return self.labels[X[:, 0]]

    @_has("scores")
    def decision_function(self, X: np.ndarray) -> np.ndarray:
        return self.scores[X[:, 0]]

    @_has("probabilities")
    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        return self.probabilities[X[:, 0]]
