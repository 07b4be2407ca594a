"""Probes: linear trainers that fit many label columns side by side, and adapters for trainers of others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from controls.probes.adapt import as_trainer
from controls.probes.centroids import LDAProbe, MeanDifferenceProbe
from controls.probes.findings import (
    LDAFinding,
    LogisticFinding,
    MeanDifferenceFinding,
    RidgeClassifierFinding,
    RidgeFinding,
)
from controls.probes.from_function import FunctionTrainer
from controls.probes.from_sklearn import EstimatorTrainer
from controls.probes.linear import LogisticProbe, RidgeProbe

if TYPE_CHECKING:
    from controls.probes.from_torch import TorchTrainer

__all__ = [
    "EstimatorTrainer",
    "FunctionTrainer",
    "LDAFinding",
    "LDAProbe",
    "LogisticFinding",
    "LogisticProbe",
    "MeanDifferenceFinding",
    "MeanDifferenceProbe",
    "RidgeClassifierFinding",
    "RidgeFinding",
    "RidgeProbe",
    "TorchTrainer",
    "as_trainer",
]


def __getattr__(name: str) -> Any:
    """Import TorchTrainer when it is first used: it loads torch."""
    if name == "TorchTrainer":
        from controls.probes.from_torch import TorchTrainer

        return TorchTrainer
    raise AttributeError(f"module 'controls.probes' has no attribute {name!r}")
