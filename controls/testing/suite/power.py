"""Power curves: how often planted effects of known size are found, beside what theory says of the score.

The mean AUC of a difference of means is an integral over the law of the fitted direction and of the
folds' class counts (``PlantedTruth.split_auc``). No test can find the effect more often than the z
test along the planted direction does (``PlantedTruth.most_power``), which is checked where it is below .99.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from controls.core.problem import Problem
from controls.core.result import Comparison
from controls.experiment import measure
from controls.generators.labels import ShuffleLabels
from controls.ground_truth import GaussianDocuments, PlantedDirection, PlantedDrift, PlantedSequences
from controls.probes import MeanDifferenceProbe, RidgeProbe
from controls.testing.suite.case import Case, Ceiling, Check, Effect, Effort, Power, Rejections, Seen

ALPHA = 0.05
FOLDS = 5
DRAWS = 39  # alpha (draws + 1) is whole
World = PlantedDirection | PlantedSequences | PlantedDrift | GaussianDocuments


@dataclass(frozen=True)
class Curve:
    """A world with its effect at several sizes, and the pipeline that is to find it."""

    name: str
    question: str
    world: World  # at any effect
    n: int
    deltas: tuple[float, ...]  # the first is 0; of the short form, every second
    trainer: MeanDifferenceProbe | RidgeProbe = MeanDifferenceProbe()  # noqa: RUF009 - frozen
    control: ShuffleLabels = ShuffleLabels()  # noqa: RUF009 - frozen
    naive: ShuffleLabels | None = None  # a control that rejects where nothing more than the nuisance is there

    @property
    def case(self) -> Case:
        """The curve as a case of the suite."""
        exact = isinstance(self.world, PlantedDirection) and self.world.tails is None
        mean = " Mean AUC exact." if exact and isinstance(self.trainer, MeanDifferenceProbe) else ""
        most = " No power above that of the z test along the direction." if exact else ""
        truth = f"At 0 rejections are false alarms; the largest effect is seen.{mean}{most}"
        return Case(self.name, self.question, truth, partial(points, self))

    def sample(self, delta: float, rng: np.random.Generator) -> Problem:
        """Return a problem with an effect of this size."""
        if isinstance(self.world, GaussianDocuments):
            return replace(self.world, effect=delta).sample(rng)
        return replace(self.world, delta=delta).sample(self.n, rng)


def points(curve: Curve, effort: Effort) -> list[Check]:
    """Return the points of a curve with what holds at each of them."""
    checks: list[Check] = []
    for delta in curve.deltas[:: effort.pick(2, 1)]:
        repetitions = effort.repetitions(20, 100) if delta else effort.repetitions(40, 600)
        found = [
            _compared(curve, curve.control, delta, effort.stream("power", curve.name, str(delta), number))
            for number in range(repetitions)
        ]
        checks += _at(curve, delta, found)
    if curve.naive is not None:
        found = [
            _compared(curve, curve.naive, 0.0, effort.stream("power", curve.name, "0.0", number))
            for number in range(effort.pick(20, 100))
        ]
        checks.append(Seen("delta 0: p of shuffles within documents", _rejected(found), len(found), ALPHA))
    return checks


def _compared(curve: Curve, control: ShuffleLabels, delta: float, rng: np.random.Generator) -> Comparison:
    problem = curve.sample(delta, rng)
    seed = int(rng.integers(2**31))
    settings = {"scoring": "roc_auc", "cv": FOLDS, "draws": DRAWS, "block": 100, "seed": seed}
    return measure(curve.trainer, problem, controls=[control], **settings).comparisons[0]


def _rejected(found: Sequence[Comparison]) -> int:
    return sum(comparison.p_value <= ALPHA for comparison in found)


def _at(curve: Curve, delta: float, found: Sequence[Comparison]) -> list[Check]:
    """Return what was found of an effect of one size."""
    rejected, count = _rejected(found), len(found)
    selective = sum(str(comparison.verdict) == "SELECTIVE" for comparison in found)
    name = f"delta {delta:g}"
    checks: list[Check] = [
        Power(f"{name}: p ≤ {ALPHA:g}", rejected, count, at=delta, curve="p"),
        Power(f"{name}: SELECTIVE", selective, count, at=delta, curve="SELECTIVE"),
    ]
    if delta == 0:
        checks.append(Rejections(f"{name}: false alarms", rejected, count, ALPHA))
    elif delta == curve.deltas[-1]:
        checks.append(Seen(f"{name}: seen", rejected, count, ALPHA))
    if isinstance(curve.world, PlantedDirection) and curve.world.tails is None:
        checks += _against_theory(curve, replace(curve.world, delta=delta), found)
    return checks


def _against_theory(curve: Curve, world: PlantedDirection, found: Sequence[Comparison]) -> list[Check]:
    """Return the mean score beside its exact value, and the power beside what no test exceeds."""
    checks: list[Check] = []
    positives = world.positives(curve.n)
    if isinstance(curve.trainer, MeanDifferenceProbe):
        expected = world.truth.split_auc(curve.n - curve.n // FOLDS, positives, curve.n)
        scores = np.array([comparison.score for comparison in found])
        error = float(scores.std(ddof=1) / np.sqrt(len(scores)))
        checks.append(Effect(f"delta {world.delta:g}: mean AUC", expected, float(scores.mean()), error, len(scores)))
    most = world.truth.most_power(positives, curve.n - positives, ALPHA)
    if world.delta > 0 and most < 0.99:
        checks.append(Ceiling(f"delta {world.delta:g}: not above the most power", _rejected(found), len(found), most))
    return checks


_BLOCKS = ShuffleLabels(whole="document", blocks=True)
_WITHIN = ShuffleLabels(within="document")

CURVES = (
    Curve(
        "power: two features",
        "40 rows of 2 features, half in each class; difference of means, AUC, ShuffleLabels.",
        PlantedDirection(0.0, d=2),
        40,
        (0.0, 0.3, 0.6, 0.9, 1.2),
    ),
    Curve(
        "power: balanced classes",
        "200 rows of 64 features, half in each class; difference of means, AUC, ShuffleLabels.",
        PlantedDirection(0.0),
        200,
        (0.0, 0.4, 0.6, 0.8, 1.1),
    ),
    Curve(
        "power: balanced classes, ridge",
        "200 rows of 64 features, half in each class; ridge classifier, AUC, ShuffleLabels.",
        PlantedDirection(0.0),
        200,
        (0.0, 0.4, 0.6, 0.8, 1.1),
        trainer=RidgeProbe(),
    ),
    Curve(
        "power: a class of 10%",
        "600 rows of 64 features, 60 in class 1; difference of means, AUC, ShuffleLabels.",
        PlantedDirection(0.0, rate=0.1),
        600,
        (0.0, 0.4, 0.6, 0.8, 1.1),
    ),
    Curve(
        "power: fewer rows than features",
        "60 rows of 200 features, half in each class; difference of means, AUC, ShuffleLabels.",
        PlantedDirection(0.0, d=200),
        60,
        (0.0, 1.0, 1.5, 2.0, 2.5),
    ),
    Curve(
        "power: heavy tails",
        "200 rows of 64 features, t noise with 2 degrees of freedom; ridge classifier, AUC, ShuffleLabels.",
        PlantedDirection(0.0, tails=2.0),
        200,
        (0.0, 0.5, 1.0, 1.5, 2.0),
        trainer=RidgeProbe(),
    ),
    Curve(
        "power: document effects",
        "20 documents of 20 rows, each with a mean of its own; ridge classifier, AUC, ShuffleLabels within documents.",
        GaussianDocuments(n_documents=20, size=20, spread=0.0),
        400,
        (0.0, 0.15, 0.25, 0.35, 0.5),
        trainer=RidgeProbe(),
        control=_WITHIN,
    ),
    Curve(
        "power: bursts",
        "20 documents whose labels and activations repeat themselves (.95); whole label sequences are exchanged.",
        PlantedSequences(0.0, rho=0.95),
        800,
        (0.0, 0.5, 0.75, 1.0, 1.5),
        control=_BLOCKS,
    ),
    Curve(
        "power: drift",
        "20 documents in which labels and activations drift with position; labels shuffled given the position.",
        PlantedDrift(0.0),
        800,
        (0.0, 0.2, 0.3, 0.4, 0.6),
        control=ShuffleLabels(given="position"),
        naive=_WITHIN,
    ),
)
CASES = tuple(curve.case for curve in CURVES)
