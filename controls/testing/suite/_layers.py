"""What cases on layers of bits share: stacked samples, interaction tests on them, and naive practice beside them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from controls.core.problem import Problem
from controls.experiment import measure
from controls.generators.labels import ShuffleLabels
from controls.ground_truth import Layer
from controls.probes import RidgeProbe
from controls.stats.interaction import InteractionTest, interaction_test
from controls.testing.suite.case import Check, Effect, NearZero, Rejections

ALPHA = 0.05
BATCH = 100  # samples that are held at once
Concepts = tuple[int, ...]


def samples(
    layer: Layer,
    concept_sets: Sequence[Concepts],
    n: int,
    rng: np.random.Generator,
    *,
    balanced: bool = True,
    noise: float = 0.0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a sample of its own for each set of concepts: hidden (P, n, d), concepts (P, n, k), inputs (P, n, m)."""
    X, H = (np.empty((len(concept_sets), n, width)) for width in (layer.m, layer.d))
    for place, concepts in enumerate(concept_sets):
        X[place] = layer.inputs.sample(n, rng, balanced=concepts if balanced else ())
        H[place] = layer.hidden(X[place])
        if noise:
            H[place] += noise * rng.standard_normal((n, layer.d))
    return H, np.stack([one[:, list(places)] for one, places in zip(X, concept_sets, strict=True)]), X


def interaction_tests(
    layer: Layer,
    concept_sets: Sequence[Concepts],
    n: int,
    rng: np.random.Generator,
    *,
    draws: int = 99,
    noise: float = 0.0,
) -> InteractionTest:
    """Return one batched interaction test of all sets, each on a balanced sample of its own, given all inputs."""
    H, concepts, X = samples(layer, concept_sets, n, rng, noise=noise)
    return interaction_test(H, concepts, nuisance=X, draws=draws, rng=rng)


def estimates(
    layer: Layer, concept_sets: Sequence[Concepts], n: int, rng: np.random.Generator, *, noise: float = 0.0
) -> np.ndarray:
    """Return the adjusted partial R² of each set (P,), without a test, each on a balanced sample of its own.

    Set by set: samples may be too large to be stacked.
    """
    each = [interaction_tests(layer, [places], n, rng, draws=1, noise=noise).adjusted for places in concept_sets]
    return np.concatenate([np.atleast_1d(values) for values in each])


def agreement(what: str, exact: np.ndarray | float, measured: np.ndarray) -> Effect:
    """Return the check that estimates agree with the exact values, up to the spread of their differences."""
    differences = measured - exact
    error = float(differences.std(ddof=1) / np.sqrt(len(differences)))
    expected = round(float(np.mean(exact)), 12)  # what is 0 but for rounding is printed as 0
    return Effect(what, expected, float(measured.mean()), error, len(differences))


def null_checks(what: str, found: Sequence[InteractionTest], *, met: bool = False) -> list[Check]:
    """Return the checks of true nulls: how many are rejected at .05, and the mean adjusted R²."""
    p, adjusted = (np.concatenate([getattr(part, name) for part in found]) for name in ("p_value", "adjusted"))
    return [
        Rejections(f"{what}: interaction test", rejected(p), len(p), alpha=ALPHA, met=met),
        NearZero(f"{what}: adjusted R²", float(adjusted.mean())),
    ]


def null_tests(
    layer: Layer, concept_sets: Sequence[Concepts], n: int, rng: np.random.Generator, *, noise: float = 0.0
) -> list[InteractionTest]:
    """Return interaction tests of many sets, in batches that take little memory."""
    batches = [concept_sets[start : start + BATCH] for start in range(0, len(concept_sets), BATCH)]
    return [interaction_tests(layer, batch, n, rng, draws=19, noise=noise) for batch in batches]


def rejected(p: np.ndarray) -> int:
    """Return how many p-values are at most .05."""
    return int((p <= ALPHA + 1e-12).sum())


def shuffled(problems: Iterable[Problem], scoring: str = "roc_auc") -> int:
    """Return how many problems a ridge probe reads better than shuffled labels at .05, by the library's own call."""
    p = [
        measure(RidgeProbe(), problem, controls=[ShuffleLabels()], scoring=scoring, draws=19, seed=seed)
        .comparisons[0]
        .p_value
        for seed, problem in enumerate(problems)
    ]
    return rejected(np.array(p))
