"""Cases of SAEs beside controls: what is planted, what explains variance in nothing, how often alarms are false."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from controls.core.control import Control
from controls.core.problem import Problem
from controls.core.result import Comparison, Result
from controls.core.trainer import Trainer
from controls.experiment import measure
from controls.generators.activations import ShuffleCoordinates
from controls.generators.gaussian import GaussianActivations, MatchNorms
from controls.ground_truth import DictionaryTwin, PlantedDictionary, SparseFeatures, random_directions
from controls.metrics.dictionary import explained_variance
from controls.metrics.recovery import MMCS
from controls.testing.suite.case import Bound, Case, Check, Coverage, Effort, Rejections, Shown, Verdict

ALPHA, DRAWS, ROWS = 0.05, 19, 6000


def _sae(effort: Effort) -> Trainer:
    from controls.finders import SAE

    return SAE(64, k=4, steps=effort.pick(300, 1500), batch_size=effort.pick(512, 1024), lr=3e-3)


def _world(effort: Effort) -> PlantedDictionary:
    directions = random_directions(64, 32, effort.stream("SAE beside controls", "directions"))
    return PlantedDictionary(directions, SparseFeatures(64), noise=0.02)


def _rows(world: PlantedDictionary | DictionaryTwin, rng: np.random.Generator) -> Problem:
    """Return activations alone: an SAE has no labels, and no control here needs a model."""
    return Problem(world.sample(ROWS, rng).X.astype(np.float32))


def beside_controls(effort: Effort) -> list[Check]:
    """Measure an SAE on planted directions, and on rows of the same mean and covariance, by two scores."""
    world, sae = _world(effort), _sae(effort)
    battery: list[Control] = [GaussianActivations(), MatchNorms(), ShuffleCoordinates()]
    real = _rows(world, effort.stream("SAE beside controls", "real"))
    nothing = _rows(DictionaryTwin(world, "gaussian"), effort.stream("SAE beside controls", "nothing"))
    truth = MMCS(world.directions)
    found = _measured(sae, real, battery, truth)
    return [
        *_verdicts("planted", "explained variance", _measured(sae, real, battery, explained_variance), "SELECTIVE"),
        *_verdicts("planted", "MMCS", found, "SELECTIVE"),
        *_structureless(_measured(sae, nothing, battery[:1], explained_variance)),
        *_verdicts("nothing", "MMCS", _measured(sae, nothing, battery[:1], truth), "not SELECTIVE"),
        Bound("planted: MMCS", "at least", 0.9, found.score),
        Shown("planted: MMCS of GaussianActivations", float(found.comparisons[0].control_mean)),
    ]


def _measured(sae: Trainer, problem: Problem, battery: list[Control], scoring: Any) -> Result:
    return measure(sae, problem, controls=battery, scoring=scoring, cv=2, draws=DRAWS, seed=0)


def _verdicts(what: str, score: str, result: Result, expected: str) -> Iterator[Check]:
    for comparison in result.comparisons:
        yield Verdict(f"{what}: {score} beside {comparison.control}", expected, _word(comparison))


def _word(comparison: Comparison) -> str:
    return "SELECTIVE" if str(comparison.verdict) == "SELECTIVE" else "not SELECTIVE"


def _structureless(result: Result) -> Iterator[Check]:
    """Explained variance is high on nothing, and the verdict says that it shows nothing."""
    yield Bound("nothing: explained variance on rows not seen", "at least", 0.5, result.score)
    yield from _verdicts("nothing", "explained variance", result, "not SELECTIVE")


def false_alarms(effort: Effort) -> list[Check]:
    """Small SAEs on normal rows, ranked among SAEs on other normal rows of the same mean and covariance."""
    from controls.finders import SAE

    sae = SAE(16, k=2, steps=effort.pick(20, 60), batch_size=64, lr=1e-2)
    count, rng = effort.pick(30, 400), effort.stream("false alarms of SAEs")
    mixing = rng.standard_normal((8, 8))
    rejected = 0
    for seed in range(count):
        problem = Problem((rng.standard_normal((200, 8)) @ mixing).astype(np.float32))
        result = measure(
            sae, problem, controls=[GaussianActivations()], scoring=explained_variance, cv=2, draws=DRAWS, seed=seed
        )
        rejected += result.comparisons[0].p_value <= ALPHA
    return [Rejections("normal rows: p of GaussianActivations, explained variance", rejected, count)]


@final
@dataclass(frozen=True, eq=False)
class Held(Trainer):
    """Returns one dictionary, whatever the rows."""

    decoder: np.ndarray

    def fit(self, problem: Problem, rng: np.random.Generator) -> np.ndarray:
        """Return the decoder."""
        return self.decoder


def _documents(count: int, rng: np.random.Generator) -> Problem:
    """Return ten rows of each document, which have something in common: about a fifth of their variance."""
    own = np.repeat(rng.standard_normal((count, 6)), 10, axis=0)
    rows = 0.5 * own + rng.standard_normal((10 * count, 6))
    return Problem(
        rows * [2.0, 1.0, 1.0, 1.0, 0.5, 0.5], groups={"document": np.arange(10 * count) // 10}, unit="document"
    )


def coverage(effort: Effort) -> list[Check]:
    """Intervals of the explained variance of a held dictionary, over documents whose rows are alike."""
    count, rng = effort.pick(60, 800), effort.stream("coverage of explained variance")
    held = np.linalg.qr(rng.standard_normal((6, 6)))[0][:3]
    truth = float(explained_variance(held, _documents(100_000, rng)))
    covered = 0
    for seed in range(count):
        result = measure(
            Held(held),
            _documents(60, rng),
            controls=[ShuffleCoordinates()],
            scoring=explained_variance,
            cv=2,
            draws=1,
            seed=seed,
        )
        covered += result.score_estimate.low <= truth <= result.score_estimate.high
    return [Coverage("held dictionary, 60 documents: 95% intervals of explained variance", covered, count)]


CASES = (
    Case(
        "SAE beside controls",
        "64 planted directions in 32 dimensions, and rows of the same mean and covariance: a TopK SAE beside controls, "
        "by explained variance and by MMCS.",
        "Planted: SELECTIVE by both. Nothing planted: more than half of the variance is explained, and no verdict is "
        "made of it.",
        beside_controls,
    ),
    Case(
        "false alarms of SAEs",
        "SAEs on normal rows, ranked among SAEs on other normal rows: how often is p at or below .05?",
        "As often as it says.",
        false_alarms,
    ),
    Case(
        "coverage of explained variance",
        "A held dictionary scored on 60 documents of ten rows that are alike: does the interval hold the population's "
        "share?",
        "19 times in 20.",
        coverage,
    ),
)
