"""Planted faults, each beside the sound way: the suite must see what is broken, and pass what is not.

The machinery is the library's own, with one thing broken. What the test kit (``check_control``,
``check_trainer``) sees too is tried on the kit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, final
from unittest.mock import patch

import numpy as np

from controls.core.control import Control
from controls.core.errors import ControlsCheckError
from controls.core.problem import Problem
from controls.core.result import Result
from controls.core.rng import stream
from controls.core.trainer import Trainer
from controls.experiment import measure
from controls.generators.labels import ShuffleLabels
from controls.ground_truth.documents import GaussianDocuments, NullDocuments
from controls.probes import MeanDifferenceProbe, RidgeProbe
from controls.stats.pvalue import PValues
from controls.testing.broken import (
    BROKEN_CONTROLS,
    BROKEN_TRAINERS,
    IgnoresStream,
    LeaksLabels,
    LeastSquares,
    LeavesOrbit,
)
from controls.testing.control_checks import check_control
from controls.testing.suite.case import Case, Check, Effort, Rejections, Seen, Verdict
from controls.testing.suite.coverage import count_tokens
from controls.testing.trainer_checks import check_trainer

ALPHA = 0.05
DRAWS = 19  # alpha (draws + 1) is whole
_FREE = NullDocuments("free", n_documents=80, size=2, d=20, document_effect=0.0)
_WIDE = NullDocuments("free", n_documents=40, size=2, d=100, document_effect=0.0)


def _result(problem: Problem, seed: int, *, control: Control | None = None, **settings: Any) -> Result:
    settings = {"trainer": RidgeProbe(), "draws": DRAWS, **settings}
    return measure(problem=problem, controls=[control or ShuffleLabels()], scoring="roc_auc", seed=seed, **settings)


def _p(problem: Problem, seed: int, **settings: Any) -> float:
    return _result(problem, seed, **settings).comparisons[0].p_value


def _rows(world: NullDocuments | GaussianDocuments, fault: str, seed: int) -> Problem:
    """Return a sample whose rows count as independent units."""
    return replace(world.sample(stream(seed, "fault", fault)), unit=None)


def _count(happens: Callable[[int], bool], repetitions: int) -> int:
    return sum(happens(seed) for seed in range(repetitions))


def _kit(check: Callable[..., None], tried: Any, words: str = "") -> str:
    """Return whether the kit finds something wrong, in these words."""
    try:
        check(tried)
    except ControlsCheckError as error:
        return "caught" if words in str(error) else f"caught, but in other words: {error}"
    return "passes"


@final
@dataclass(frozen=True, eq=False)
class Linear:
    """Weights on features; the higher class where they are above 0."""

    weights: np.ndarray
    classes_: np.ndarray

    def decision_function(self, X: np.ndarray) -> np.ndarray:
        """Return scores."""
        return X @ self.weights

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return labels."""
        return self.classes_[(self.decision_function(X) > 0).astype(int)]


# -- a p without the +1 --------------------------------------------------------


def without_one(effort: Effort) -> list[Check]:
    """Count false alarms of p = #{draw >= observed} / draws, with 4 draws, whose p could be no less than .2."""

    def wrong(observed: float, scores: np.ndarray, *, tolerance: float, **_: Any) -> PValues:
        above, below = (float(np.mean(sign * scores >= sign * observed - tolerance)) for sign in (1, -1))
        return PValues(above, below, 0.0, None)

    def alarm(draws: int, seed: int) -> bool:
        return _p(_rows(_FREE, "plus one", seed), seed, draws=draws) <= ALPHA

    faults, repetitions = effort.pick(120, 200), effort.pick(120, 640)
    with patch("controls.runner.compare.p_values", wrong):
        faulty = _count(partial(alarm, 4), faults)
    sound = _count(partial(alarm, 19), repetitions)
    return [
        Seen("p = exceedances / draws", faulty, faults),
        Rejections("p = (1 + exceedances) / (1 + draws), 19 draws", sound, repetitions, met=True),
    ]


# -- a permutation that ignores groups -----------------------------------------


def ignores_groups(effort: Effort) -> list[Check]:
    """Count false alarms of a shuffle among all rows, where each document has its own base rate."""

    def alarm(control: Control, seed: int) -> bool:
        return _p(_rows(NullDocuments("base_rates"), "groups", seed), seed, control=control) <= ALPHA

    faults, repetitions, within = effort.pick(60, 100), effort.pick(60, 640), ShuffleLabels(within="document")
    return [
        Seen("draws ignore the documents", _count(partial(alarm, LeavesOrbit()), faults), faults),
        Rejections("ShuffleLabels(within=...)", _count(partial(alarm, within), repetitions), repetitions, met=True),
        Verdict("check_control, draws ignore the documents", "caught", _kit(check_control, LeavesOrbit(), "not among")),
        Verdict("check_control, ShuffleLabels(within=...)", "passes", _kit(check_control, within)),
    ]


# -- standardisation fitted with labels ----------------------------------------


def label_scales(activations: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return each feature's correlation with the labels: a scale that knows them."""
    centred = activations - activations.mean(axis=0)
    return centred.T @ (labels - labels.mean()) / np.linalg.norm(centred, axis=0)


def scale_then_fit(activations: np.ndarray, labels: np.ndarray) -> Linear:
    """Scale by the labels of the training rows, then fit: scaling inside the fit, where it belongs."""
    scaled = activations * label_scales(activations, labels)
    difference = scaled[labels == 1].mean(axis=0) - scaled[labels == 0].mean(axis=0)
    return Linear(difference * label_scales(activations, labels), np.array([0, 1]))


def scaled_with_labels(effort: Effort) -> list[Check]:
    """Count false alarms where features are scaled once by the labels of all rows, held-out ones included."""

    def alarm(outside: bool, seed: int) -> bool:
        problem = _rows(_WIDE, "scales", seed)
        if outside:
            scaled = problem.with_activations(problem.X * label_scales(problem.X, problem.label_codes))
            return _p(scaled, seed, trainer=MeanDifferenceProbe()) <= ALPHA
        return _p(problem, seed, trainer=scale_then_fit, cv=2) <= ALPHA

    faults, repetitions = effort.pick(40, 100), effort.pick(40, 640)
    return [
        Seen("scaled once, with all labels", _count(partial(alarm, True), faults), faults),
        Rejections("scaled inside every fit", _count(partial(alarm, False), repetitions), repetitions, met=True),
    ]


# -- a control that leaks ------------------------------------------------------


def leaks(effort: Effort) -> list[Check]:
    """Count how often draws score above chance where labels can be read: they must not.

    A leak costs power and makes the selectivity too small; p stays valid, and says nothing of it.
    """

    def above_chance(control: Control, seed: int) -> bool:
        drawn = _result(_rows(GaussianDocuments(), "leak", seed), seed, control=control).comparisons[0].control_scores
        error = drawn.std(ddof=1) / np.sqrt(len(drawn))
        return bool(drawn.mean() - 0.5 > 1.734 * error)  # t with 18 degrees of freedom, level .05

    faults, repetitions, sound = effort.pick(60, 100), effort.pick(60, 640), ShuffleLabels()
    return [
        Seen("half of the labels stay", _count(partial(above_chance, LeaksLabels()), faults), faults),
        Rejections("ShuffleLabels()", _count(partial(above_chance, sound), repetitions), repetitions),
        Verdict(
            "check_control, half of the labels stay", "caught", _kit(check_control, LeaksLabels(), "claims to destroy")
        ),
        Verdict("check_control, ShuffleLabels()", "passes", _kit(check_control, sound)),
    ]


# -- a seed shared between draws -----------------------------------------------


def shared_seed(effort: Effort) -> list[Check]:
    """Count false alarms where every draw has the same stream, so that all draws are one."""

    def one_stream(seed: int, *key: str | int) -> np.random.Generator:
        return stream(seed, *key[:-1])  # the last part is the number of the draw

    def alarm(seed: int) -> bool:
        return _p(_rows(_FREE, "seed", seed), seed) <= ALPHA

    faults, repetitions = effort.pick(60, 200), effort.pick(60, 640)
    with patch("controls.runner.draws.stream", one_stream):
        faulty = _count(alarm, faults)
    return [
        Seen("one stream for all draws", faulty, faults),
        Rejections("a stream for each draw", _count(alarm, repetitions), repetitions, met=True),
        Verdict("check_control, one draw whatever the stream", "caught", _kit(check_control, IgnoresStream())),
    ]


# -- a warm start from the full data -------------------------------------------


@final
@dataclass(frozen=True)
class Descent(Trainer):
    """A few steps of gradient descent on squared error, from ``start``."""

    start: tuple[float, ...] = ()
    steps: int = 5

    def fit(self, problem: Problem, rng: np.random.Generator) -> Linear:
        """Return the linear score of rows."""
        X, y = np.asarray(problem.X), problem.label_codes - 0.5
        weights = np.array(self.start) if self.start else np.zeros(problem.d)
        for _ in range(self.steps):
            weights = weights - 0.1 * X.T @ (X @ weights - y) / len(X)
        return Linear(weights, problem.classes)


def warm_start(effort: Effort) -> list[Check]:
    """Count false alarms of fits that begin where a fit to all rows and labels ended.

    Where every draw starts from a fit to its own labels of all rows, the score is too high but p stays valid:
    only the kit sees that.
    """

    def alarm(warm: bool, seed: int) -> bool:
        problem = _rows(_FREE, "warm", seed)
        full = Descent(steps=50).fit(problem, stream(0)).weights if warm else ()
        return _p(problem, seed, trainer=Descent(tuple(full)), cv=2) <= ALPHA

    def symmetric(seed: int) -> bool:
        return _p(_rows(_FREE, "warm", seed), seed, trainer=LeastSquares(fault), cv=2) <= ALPHA

    faults, repetitions, fault = effort.pick(40, 100), effort.pick(40, 640), "starts from all rows"
    return [
        Seen("starts from a fit to all rows", _count(partial(alarm, True), faults), faults),
        Rejections("starts from zero", _count(partial(alarm, False), repetitions), repetitions, met=True),
        Rejections("draws start from all rows too", _count(symmetric, repetitions), repetitions, met=True),
        Verdict("check_trainer, draws start so too", "caught", _kit(check_trainer, LeastSquares(fault), "held-out")),
        Verdict("check_trainer, starts anew", "passes", _kit(check_trainer, LeastSquares())),
    ]


# -- the kit -------------------------------------------------------------------


def kit(effort: Effort) -> list[Check]:
    """Try every broken control and trainer of the kit."""
    broken: list[tuple[Callable[..., None], Any, str]] = [
        *((check_control, control, words) for control, words in BROKEN_CONTROLS),
        *((check_trainer, trainer, words) for trainer, words in BROKEN_TRAINERS),
    ]
    return [Verdict(repr(tried), "caught", _kit(check, tried, words)) for check, tried, words in broken]


_NULL = "null: every rejection is a false alarm"
CASES = (
    Case("p without the +1", "is p = exceedances / draws seen to reject too often?", _NULL, without_one),
    Case(
        "token bootstrap", "does a bootstrap of tokens hold the truth of clustered data?", "closed form", count_tokens
    ),
    Case("groups ignored", "is a shuffle among all rows seen where base rates differ?", _NULL, ignores_groups),
    Case("standardised with labels", "is scaling by the labels of all rows seen?", _NULL, scaled_with_labels),
    Case("leaking control", "is a control that leaves half of the labels seen?", "draws must score at chance", leaks),
    Case("seed shared between draws", "are draws that are all the same seen?", _NULL, shared_seed),
    Case("warm start from the full data", "is a fit that begins at one to all rows seen?", _NULL, warm_start),
    Case("the test kit", "does the kit find every broken control and trainer?", "each breaks one claim", kit),
)
