"""Metrics: score what a trainer found, for many label columns at once. Higher is better."""

from controls.core.unit_score import RowMeans
from controls.metrics.auroc import BestLatentAUROC
from controls.metrics.causal import LossRecovered, NegKL
from controls.metrics.chance import chance_cosine, chance_cosine_quantile, chance_mmcs
from controls.metrics.classification import Accuracy, BalancedAccuracy, NegLogLoss, RocAuc, RocAucOvr
from controls.metrics.codelength import NegCodelength, compression
from controls.metrics.correlation import PearsonR
from controls.metrics.dictionary import cosine_similarity, explained_variance, neg_dead_share, neg_fvu, neg_l0
from controls.metrics.entropy import TokenEntropy
from controls.metrics.geometry import CircleScore, ClusterScore, NeighbourCosine, effective_rank, participation_ratio
from controls.metrics.geometry_reference import geometry_reference, reference_directions
from controls.metrics.precision import F1, AveragePrecision, F1Macro
from controls.metrics.recovery import MMCS, Recovery
from controls.metrics.regression import R2, NegMeanSquaredError
from controls.metrics.scoring import loss, resolve
from controls.metrics.sparse_probing import SparseProbing
from controls.metrics.stability import SeedStability

__all__ = [
    "F1",
    "MMCS",
    "R2",
    "Accuracy",
    "AveragePrecision",
    "BalancedAccuracy",
    "BestLatentAUROC",
    "CircleScore",
    "ClusterScore",
    "F1Macro",
    "LossRecovered",
    "NegCodelength",
    "NegKL",
    "NegLogLoss",
    "NegMeanSquaredError",
    "NeighbourCosine",
    "PearsonR",
    "Recovery",
    "RocAuc",
    "RocAucOvr",
    "RowMeans",
    "SeedStability",
    "SparseProbing",
    "TokenEntropy",
    "chance_cosine",
    "chance_cosine_quantile",
    "chance_mmcs",
    "compression",
    "cosine_similarity",
    "effective_rank",
    "explained_variance",
    "geometry_reference",
    "loss",
    "neg_dead_share",
    "neg_fvu",
    "neg_l0",
    "participation_ratio",
    "reference_directions",
    "resolve",
]
