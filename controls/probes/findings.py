"""Findings of the linear probes: coefficients on raw features, with the predictions of scikit-learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np

from controls.core.arrays import dense
from controls.core.errors import InputError
from controls.core.validate import as_activations


@final
@dataclass(frozen=True, eq=False)
class LogisticFinding:
    """A fitted logistic probe.

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

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each class, shape (m, C)."""
        return _probabilities(self.decision_function(X))


@final
@dataclass(frozen=True, eq=False)
class RidgeClassifierFinding:
    """A fitted ridge probe of classes, trained on targets −1 and +1.

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


@final
@dataclass(frozen=True, eq=False)
class LDAFinding:
    """A fitted linear discriminant analysis.

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
        """Return log-odds (m,) for two classes (positive means the second), else scores (m, C)."""
        return _decision(X, self.coef_, self.intercept_)

    def predict(self, X: Any) -> np.ndarray:
        """Return the label of each row, shape (m,)."""
        return _labels(self.decision_function(X), self.classes_)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each class, shape (m, C)."""
        return _probabilities(self.decision_function(X))


@final
@dataclass(frozen=True, eq=False)
class MeanDifferenceFinding:
    """A fitted difference of means.

    Attributes
    ----------
    classes_ : array of shape (C,)
        The labels, sorted.
    coef_ : array of shape (1, d) for two classes, (C, d) otherwise
        For two classes the direction from the mean of the first to that of the second, else the means
        about that of all rows; on the raw features (each divided by its variance where they were
        standardised).
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
