"""Findings of the linear probes: coefficients on raw features, with the predictions of scikit-learn."""

from __future__ import annotations

from abc import ABC
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from controls.core.arrays import dense
from controls.core.errors import InputError
from controls.core.validate import as_activations


@dataclass(frozen=True, eq=False)
class LinearClassifier(ABC):
    """A fitted linear probe of classes.

    Attributes
    ----------
    classes_ : array of shape (C,)
        The labels, sorted.
    coef_ : array of shape (1, d) for two classes, (C, d) otherwise
        Weights on the raw features.
    intercept_ : array of shape (1,) or (C,)
        Intercepts on the raw features.
    """

    classes_: np.ndarray
    coef_: np.ndarray
    intercept_: np.ndarray

    def decision_function(self, X: Any) -> np.ndarray:
        """Return scores, (m,) for two classes (positive means the second), else (m, C)."""
        return _decision(X, self.coef_, self.intercept_)

    def predict(self, X: Any) -> np.ndarray:
        """Return the label of each row, shape (m,)."""
        return _labels(self.decision_function(X), self.classes_)


class ProbabilisticClassifier(LinearClassifier):
    """A fitted linear probe of classes whose scores are log-odds."""

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each class, shape (m, C)."""
        return _probabilities(self.decision_function(X))


@final
class LogisticFinding(ProbabilisticClassifier):
    """A fitted logistic probe, with ``classes_``, ``coef_`` and ``intercept_``."""


@final
class RidgeClassifierFinding(LinearClassifier):
    """A fitted ridge probe of classes, trained on targets −1 and +1."""


@final
class LDAFinding(ProbabilisticClassifier):
    """A fitted linear discriminant analysis, with ``classes_``, ``coef_`` and ``intercept_``."""


@final
class MeanDifferenceFinding(LinearClassifier):
    """A fitted difference of means.

    For two classes ``coef_`` is the direction from the mean of the first to that of the second, else
    the means about that of all rows; each divided by its variance where features were standardised.
    """


@final
@dataclass(frozen=True, eq=False)
class RidgeFinding:
    """A fitted ridge probe of numbers.

    Attributes
    ----------
    coef_ : array of shape (d,)
        Weights on the raw features.
    intercept_ : float
        Intercept on the raw features.
    """

    coef_: np.ndarray
    intercept_: float

    def predict(self, X: Any) -> np.ndarray:
        """Return the predicted value of each row, shape (m,)."""
        return _rows(X, len(self.coef_)) @ self.coef_ + self.intercept_


def _rows(X: Any, d: int) -> np.ndarray:
    X = dense(as_activations(X, "X"))
    if X.shape[1] != d:
        raise InputError(f"X must have the {d} features the probe was fitted on, got {X.shape[1]}.")
    return X.astype(np.float64, copy=False)


def _decision(X: Any, coef: np.ndarray, intercept: np.ndarray) -> np.ndarray:
    scores = _rows(X, coef.shape[1]) @ coef.T + intercept
    return scores[:, 0] if len(coef) == 1 else scores


def _labels(scores: np.ndarray, classes: np.ndarray) -> np.ndarray:
    return classes[(scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(1)]


def _probabilities(scores: np.ndarray) -> np.ndarray:
    from scipy.special import expit, softmax

    return np.stack([expit(-scores), expit(scores)], 1) if scores.ndim == 1 else softmax(scores, axis=1)
