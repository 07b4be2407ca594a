"""Difference in differences end to end, where the accuracy of every fitted probe on new documents is a formula."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from scipy.stats import binomtest, norm

import controls as ct
from controls.core.control import Control
from controls.core.rng import stream
from controls.runner.folds import make_folds

UNITS, SIZE, INPUTS, NEURONS = 30, 8, 6, 5
SIGNAL, OF_DOCUMENTS = 0.8, 0.5  # along the first input; standard deviation of document effects on all
DOCUMENT = np.repeat(np.arange(UNITS), SIZE)


@dataclass(frozen=True)
class Inputs:
    """Inputs in documents, and the labels that the first of them carries."""

    seed: int

    def __post_init__(self) -> None:
        rng = stream(self.seed, "inputs")
        y = rng.integers(2, size=UNITS * SIZE)
        x = OF_DOCUMENTS * rng.normal(size=(UNITS, INPUTS))[DOCUMENT] + rng.normal(size=(UNITS * SIZE, INPUTS))
        x[:, 0] += SIGNAL * (2 * y - 1)
        object.__setattr__(self, "x", x)
        object.__setattr__(self, "y", y)

    def layers(self, count: int, gain: float, key: str) -> tuple[np.ndarray, np.ndarray]:
        """Return weights (count, inputs, neurons), ``gain`` times as large for the first input, and activations."""
        rng = stream(self.seed, "layers", key)
        weights = rng.normal(size=(count, INPUTS, NEURONS))
        weights[:, 0] *= gain
        return weights, self.x @ weights + rng.normal(size=(count, UNITS * SIZE, NEURONS))

    def problem(self, H: np.ndarray) -> ct.Problem:
        return ct.Problem(H, self.y, groups={"document": DOCUMENT}, unit="document")

    def accuracies(self, weights: np.ndarray, H: np.ndarray, splits) -> np.ndarray:
        """Return the accuracy of each layer's difference of means on new documents, mean over folds; exact."""
        found = np.zeros(len(H))
        for train, _ in splits:
            ones, zeros = (H[:, train][:, self.y[train] == label].mean(axis=1) for label in (1, 0))
            w = ones - zeros
            shift, along = -(w * (ones + zeros)).sum(axis=1) / 2, SIGNAL * (weights[:, 0] * w).sum(axis=1)
            through = np.square(np.einsum("mkd,md->mk", weights, w)).sum(axis=1)
            spread = np.sqrt((1 + OF_DOCUMENTS**2) * through + np.square(w).sum(axis=1))
            found += (norm.cdf((along + shift) / spread) + norm.cdf((along - shift) / spread)) / 2
        return found / len(splits)


def contrast(seed: int, gain: float, redrawn: int = 19):
    """Return what is found of one trained model, and the truth: its fitted probes beside the law of the others."""
    inputs = Inputs(seed)
    own, others = inputs.layers(1, gain, "own"), inputs.layers(redrawn, 1.0, "others")
    problem = inputs.problem(own[1][0])
    found = ct.difference_in_differences(
        ct.probes.MeanDifferenceProbe(),
        problem,
        labels=ct.ShuffleLabels(),
        against=[inputs.problem(H) for H in others[1]],
        draws=9,
        seed=seed,
    )
    splits = make_folds(None, problem, seed).default()
    law = inputs.accuracies(*inputs.layers(400, 1.0, "law"), splits).mean()
    return found, float(inputs.accuracies(*own, splits)[0] - law)


@pytest.mark.parametrize("gain", [1.0, 2.5])
def test_intervals_cover_what_fitted_probes_do_on_new_documents(gain):
    covered, repetitions = 0, 40
    for seed in range(repetitions):
        found, truth = contrast(seed, gain)
        covered += found.estimate.low <= truth <= found.estimate.high
    assert binomtest(covered, repetitions, 0.95, alternative="less").pvalue > 0.001


def test_in_bits_it_is_the_difference_of_four_scores():
    inputs = Inputs(0)
    own, others = inputs.layers(1, 2.5, "own")[1], inputs.layers(2, 1.0, "others")[1]
    probe, control = ct.probes.LogisticProbe(), ct.ShuffleLabels()
    settings = {"scoring": "neg_codelength", "draws": 5}
    problems = [inputs.problem(H) for H in [*own, *others]]
    found = ct.difference_in_differences(probe, problems[0], labels=control, against=problems[1:], **settings)
    apart = [ct.measure(probe, each, controls=[control], **settings).selectivity for each in problems]
    assert found.metric == "neg_codelength"
    assert found.estimate.value == pytest.approx(apart[0] - np.mean(apart[1:]))
    assert found.estimate.standard_error > 0


@dataclass(frozen=True)
class Redraw(Control):
    """Draws weights of a layer anew, and extracts again; with ``idle`` it draws what is there."""

    level: ClassVar = "weights"
    inference: ClassVar = "ensemble"
    null: ClassVar = "The model is one of the law."
    licenses: ClassVar = "It is none."
    preserves: ClassVar = ()
    destroys: ClassVar = ()
    idle: bool = False

    def draw(self, problem: ct.Problem, rng: np.random.Generator) -> ct.Problem:
        source = problem.source
        model = source.model if self.idle else rng.normal(size=source.model.shape)
        return problem.with_activations(source.extract(model, source.inputs))


def sourced(seed: int) -> ct.Problem:
    inputs = Inputs(seed)
    source = ct.Source(stream(seed, "W").normal(size=(INPUTS, NEURONS)), inputs.x, lambda model, x: x @ model)
    return ct.Problem(None, inputs.y, groups={"document": DOCUMENT}, unit="document", source=source)


def test_any_control_on_weights_will_do_and_trained_models_take_turns():
    problems = [sourced(0), sourced(0).with_activations(Inputs(0).layers(1, 2.0, "second")[1][0])]
    found = ct.difference_in_differences(
        ct.probes.RidgeProbe(), problems, labels=ct.ShuffleLabels(), against=Redraw(), draws=3, model_draws=6
    )
    assert len(found.redrawn) == len(set(found.redrawn.tolist())) == 6
    assert found.inference == "exact"
    assert found.p_floor == pytest.approx(1 / 28)
    with pytest.raises(ct.CannotControl, match="the same to the bit"):
        ct.difference_in_differences(
            ct.probes.RidgeProbe(), problems[0], labels=ct.ShuffleLabels(), against=Redraw(idle=True), draws=3
        )


def test_models_with_other_words_are_refused():
    problem = sourced(0)
    words = {"document": DOCUMENT, "word": np.arange(UNITS * SIZE) % 7}
    one, other = (
        ct.Problem(problem.X, problem.labels, groups=words | {"word": words["word"] + shift}, unit="document")
        for shift in (0, 1)
    )
    with pytest.raises(ct.InputError, match="the same rows, labels, groups and unit"):
        ct.difference_in_differences(
            ct.probes.RidgeProbe(), one, labels=ct.ControlTask(per="word"), against=[other, other], draws=3
        )
