"""Metrics: score what a trainer found, for many label columns at once. Higher is better."""

from controls.metrics.classification import Accuracy, BalancedAccuracy, NegLogLoss, RocAuc, RocAucOvr
from controls.metrics.codelength import NegCodelength, compression
from controls.metrics.correlation import PearsonR
from controls.metrics.precision import F1, AveragePrecision, F1Macro
from controls.metrics.regression import R2, NegMeanSquaredError
from controls.metrics.scoring import loss, resolve

__all__ = [
    "F1",
    "R2",
    "Accuracy",
    "AveragePrecision",
    "BalancedAccuracy",
    "F1Macro",
    "NegCodelength",
    "NegLogLoss",
    "NegMeanSquaredError",
    "PearsonR",
    "RocAuc",
    "RocAucOvr",
    "compression",
    "loss",
    "resolve",
]
