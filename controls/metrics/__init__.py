"""Metrics: score what a trainer found, for many label columns at once. Higher is better."""

from controls.metrics.classification import Accuracy, BalancedAccuracy, NegLogLoss, RocAuc, RocAucOvr
from controls.metrics.regression import R2, NegMeanSquaredError
from controls.metrics.scoring import loss, resolve

__all__ = [
    "R2",
    "Accuracy",
    "BalancedAccuracy",
    "NegLogLoss",
    "NegMeanSquaredError",
    "RocAuc",
    "RocAucOvr",
    "loss",
    "resolve",
]
