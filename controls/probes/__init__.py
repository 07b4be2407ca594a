"""Probes: linear trainers that fit many label columns side by side, on activations standardised once per fold."""

from __future__ import annotations

from controls.probes.findings import LogisticFinding, RidgeClassifierFinding, RidgeFinding
from controls.probes.linear import LogisticProbe, RidgeProbe

__all__ = ["LogisticFinding", "LogisticProbe", "RidgeClassifierFinding", "RidgeFinding", "RidgeProbe"]
