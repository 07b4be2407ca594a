"""Metrics: score what a trainer found, for many label columns at once. Higher is better."""

from controls.core.row_means import RowMeans
from controls.metrics.classification import Accuracy, BalancedAccuracy, NegLogLoss, RocAuc, RocAucOvr
from controls.metrics.codelength import NegCodelength, compression
from controls.metrics.correlation import PearsonR
from controls.metrics.dictionary import cosine_similarity, explained_variance, neg_dead_share, neg_fvu, neg_l0
from controls.metrics.entropy import TokenEntropy
from controls.metrics.precision import F1, AveragePrecision, F1Macro
from controls.metrics.recovery import MMCS, Recovery
from controls.metrics.regression import R2, NegMeanSquaredError
from controls.metrics.scoring import loss, resolve

__all__ = [
    "F1",
    "MMCS",
    "R2",
    "Accuracy",
    "AveragePrecision",
    "BalancedAccuracy",
    "F1Macro",
    "NegCodelength",
    "NegLogLoss",
    "NegMeanSquaredError",
    "PearsonR",
    "Recovery",
    "RocAuc",
    "RocAucOvr",
    "RowMeans",
    "TokenEntropy",
    "compression",
    "cosine_similarity",
    "explained_variance",
    "loss",
    "neg_dead_share",
    "neg_fvu",
    "neg_l0",
    "resolve",
]
