"""Verdicts of controls on weights: what is readable in the first layer of five networks, and what of it was learned."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from controls.core.control import Control
from controls.core.problem import Problem, Source
from controls.core.result import Comparison, Result
from controls.experiment import measure
from controls.generators.permute import PermuteWeights
from controls.generators.spectrum import MatchSpectrum
from controls.generators.weights import Reinitialize
from controls.ground_truth import Network
from controls.ground_truth.network_modules import hidden_of
from controls.ground_truth.networks import Pair
from controls.probes import RidgeProbe
from controls.testing.suite import zoo
from controls.testing.suite.case import Bound, Case, Check, Effort, Exact, Shown, Verdict

_ASKED = len(zoo.PAIRS)
_SHORT = ("A", "C")  # the others are trained
_FIRST = ("hidden.linear.weight",)
BATTERY: dict[str, Control] = {
    "normal weights": Reinitialize(scheme="moments", include=_FIRST),
    "matched spectrum": MatchSpectrum(include=_FIRST),
    "permuted rows": PermuteWeights(by="row", include=_FIRST),
}


def hidden_and_inputs(module: torch.nn.Module, X: np.ndarray) -> np.ndarray:
    """Return the hidden layer beside its inputs: R² of a product from both is its partial R², of uniform inputs."""
    return np.hstack([hidden_of(module, X), X])


def whole_population(found: Network, pairs: Sequence[Pair]) -> tuple[Problem, list[tuple[np.ndarray, np.ndarray]]]:
    """Return all inputs twice, labelled by XOR of the pairs, and folds that fit one copy and score the other.

    No score is of rows that a fit saw, and none errs by sampling: held-out R² is that of the population.
    """
    X, _ = zoo.INPUTS.enumerate()
    both, first, second = np.vstack([X, X]), np.arange(len(X)), np.arange(len(X), 2 * len(X))
    labels = np.stack([both[:, i] != both[:, j] for i, j in pairs], axis=1).astype(np.float64)
    problem = Problem(None, labels, source=Source(found.module(), both, hidden_and_inputs))
    return problem, [(first, second), (second, first)]


def _measured(found: Network, pairs: Sequence[Pair], effort: Effort, smallest_effect: float) -> Result:
    problem, cv = whole_population(found, pairs)
    return measure(
        RidgeProbe(alpha=1e-9, standardize=False),
        problem,
        controls=list(BATTERY.values()),
        scoring="r2",
        cv=cv,
        draws=effort.pick(19, 39),
        smallest_effect=smallest_effect,
    )


def verdicts(effort: Effort) -> list[Check]:
    """Redraw the first layer and fit the probe again: how readable are the pairs then?"""
    checks: list[Check] = []
    for name in effort.pick(_SHORT, tuple(zoo.NAMES)):
        found = zoo.network(name, effort.short)
        result = _measured(found, zoo.PAIRS, effort, 0.1)
        exact = float(zoo.shares(found)[:_ASKED].mean())
        checks.append(Exact(f"{name}: score, beside the share by enumeration", exact, float(result.score), 1e-6))
        for words, compared in zip(BATTERY, result.comparisons, strict=True):
            checks += _verdict_checks(name, f"{name}, {words}: computed pairs", compared)
        if name in ("A", "B") and not effort.short:
            others = _measured(found, zoo.ALL[_ASKED:], effort, 0.0)
            for words, compared in zip(BATTERY, others.comparisons, strict=True):
                checks.append(Verdict(f"{name}, {words}: other pairs", "WORSE THAN CONTROL", str(compared.verdict)))
    return checks


def _verdict_checks(name: str, what: str, compared: Comparison) -> list[Check]:
    verdict = str(compared.verdict)
    if name in ("A", "B"):
        return [
            Verdict(what, "SELECTIVE", verdict),
            Bound(f"{what}, selectivity", "at least", 0.6, compared.selectivity.value),
        ]
    if name == "D":  # surely above its redraws, by little: both are said
        return [
            Verdict(what, "NEGLIGIBLE", verdict),
            Exact(f"{what}, share of redraws as high", compared.p_floor, compared.p_value, 1e-12),
            Bound(f"{what}, selectivity", "at most", 0.1, compared.selectivity.value),
        ]
    generic = "generic" if verdict in ("EQUIVALENT", "NEGLIGIBLE") else verdict
    readable = "readable but " if compared.score > 0.5 else ""
    return [
        Verdict(what, "readable but generic" if name == "C" else "generic", readable + generic),
        Shown(f"{what}, selectivity", compared.selectivity.value),
    ]


CASES = (
    Case(
        "weights: verdicts",
        "Five networks as torch modules, their first layer redrawn by `ct.Reinitialize`, `ct.MatchSpectrum` and "
        "`ct.PermuteWeights` in `ct.measure`, and the probe fitted again: is what is readable there learned?",
        "A and B: yes, and of their other pairs less is left than in a redraw, since the layer is spent. B0 and C were "
        "drawn so: readable perhaps, and generic. D surely exceeds its redraws, by little. The probe is fitted to all "
        "inputs and scored on a copy of them, so that scores are exact.",
        verdicts,
    ),
)
