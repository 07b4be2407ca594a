"""Controls on the data of five networks: shuffled labels, permuted interactions, and the same probe on the input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from controls.core.problem import Problem
from controls.ground_truth.bits import combine
from controls.ground_truth.networks import Network, Pair
from controls.ground_truth.population import partial_r2
from controls.testing.suite import zoo
from controls.testing.suite.case import Bound, Case, Check, Effect, Effort, Exact, NearZero, Rejections, Seen, Shown

_OTHERS = ("A", "B", "D", "C")  # networks that also are asked for pairs that they do not compute


def _asked() -> list[tuple[str, str, bool]]:
    """Return what is asked of: words, network, and whether it is a pair that the network computes."""
    on = [(f"{name}, computed pairs", name, True) for name in zoo.NAMES]
    return on + [(f"{name}, other pairs", name, False) for name in _OTHERS]


def _problem(found: Network, asked: bool, ask: str, n: int, rng: np.random.Generator) -> tuple[Problem, Pair]:
    """Return a problem about one of the pairs that a network computes, or one of the others."""
    pairs = found.pairs if asked else found.others
    pair = pairs[rng.integers(len(pairs))]
    return found.sample(n, rng, concepts=pair, ask=ask), pair


def labels(effort: Effort) -> list[Check]:
    """Shuffle the labels of ANDs, with the library's own control and probe."""
    from controls.experiment import measure
    from controls.generators import ShuffleLabels
    from controls.probes import RidgeProbe

    repetitions, checks = effort.pick(4, 40), []
    for what, name, asked in [("raw input", "A", True), *_asked()]:
        rejected = 0
        for repetition in range(repetitions):
            rng = effort.stream("networks-labels", what, repetition)
            problem, _ = _problem(zoo.network(name, effort.short), asked, "and", 400, rng)
            if what == "raw input":
                problem = Problem(problem.array_at("input"), problem.labels)
            result = measure(RidgeProbe(), problem, controls=[ShuffleLabels()], scoring="roc_auc", draws=39)
            rejected += result.comparisons[0].p_value <= 0.05
        checks.append(Seen(what, rejected, repetitions))
    return checks


def interactions(effort: Effort) -> list[Check]:
    """Permute the centred product of two inputs, of which all cells are equally full."""
    checks: list[Check] = []
    for what, name, asked in [("raw input", "A", True), *_asked()]:
        wide = zoo.network(name, effort.short).layer.d > 100
        nothing = what in ("raw input", "A, other pairs")  # exactly
        repetitions = effort.repetitions(8, 40) if wide else effort.repetitions(100, 600 if nothing else 200)
        tests = _interaction_tests(what, name, asked, repetitions, effort)
        if nothing:
            checks.append(Rejections(what, int((tests["p"] <= 0.05).sum()), len(tests["p"])))
            checks.append(NearZero(f"{what}: adjusted R²", float(tests["r2"].mean())))
            continue
        checks.append(Seen(what, int((tests["p"] <= 0.05).sum()), len(tests["p"])))
        difference, truth = tests["r2"] - tests["truth"], float(tests["truth"].mean())
        if truth > 1 - 1e-6:  # samples of what is exact do not vary
            checks.append(Exact(f"{what}: adjusted R²", truth, float(tests["r2"].mean()), 1e-6))
            continue
        error = zoo.effect_error(difference)
        checks.append(Effect(f"{what}: adjusted R²", truth, truth + float(difference.mean()), error, len(difference)))
    return checks


def _interaction_tests(what: str, name: str, asked: bool, repetitions: int, effort: Effort) -> dict[str, np.ndarray]:
    """Return p, adjusted R² and exact R² of each repetition, each on a sample and a pair of its own."""
    from controls.stats.interaction import interaction_test

    rng = effort.stream("networks-interaction", what)
    truths, layers, concepts, inputs = [], [], [], []
    found = zoo.network(name, effort.short)
    for _ in range(repetitions):
        problem, pair = _problem(found, asked, "and", 2000, rng)
        X = problem.array_at("input")
        truths.append(zoo.ALL.index(pair))
        layers.append(X if what == "raw input" else problem.X)
        concepts.append(X[:, list(pair)])
        inputs.append(X)
    shares = np.zeros(len(zoo.ALL)) if what == "raw input" else zoo.shares(found)
    nuisance = None if what == "raw input" else np.stack(inputs)
    result: Any = interaction_test(np.stack(layers), np.stack(concepts), nuisance=nuisance, draws=99, rng=rng)
    return {"p": result.p_value, "r2": result.adjusted, "truth": shares[truths]}


def input_baseline(effort: Effort) -> list[Check]:
    """Put the same probe on the layer and on the raw input, asked for XOR, of which the input says nothing linearly."""
    from controls.probes import RidgeProbe

    checks: list[Check] = []
    for what, name, asked in _asked():
        linear = _beside_inputs(effort, what, name, asked, probe=RidgeProbe(), count=effort.pick(5, 40))[0]
        if what == "A, other pairs":  # nothing to read on either side, where swaps alone are known to be too small
            checks.append(Shown(f"{what}: linear probe, p of swaps alone ≤ .05", float(linear.mean())))
        elif name != "B0" and what != "B, other pairs":  # of a tenth or a fifth of the variance a probe sees little
            checks.append(Seen(f"{what}: linear probe", int(linear.sum()), len(linear)))
        wide = name in ("C", "D")  # wide layers keep the input: the probe computes the product from either
        count, n = (effort.repetitions(10, 600), 200) if wide else (effort.repetitions(5, 40), 500)
        quadratic, gains = _beside_inputs(effort, what, name, asked, probe=quadratic_probe, count=count, n=n)
        gained = f"{what}: quadratic probe, accuracy gained"
        if wide:
            checks.append(Rejections(f"{what}: quadratic probe", int(quadratic.sum()), count))
            checks.append(NearZero(gained, float(gains.mean())))
        else:  # narrow ones lose it, so that no rejection can be
            checks.append(Bound(f"{what}: quadratic probe, rejections", "at most", 0, float(quadratic.sum())))
            checks.append(Bound(gained, "at most", -0.01, float(gains.mean())))
    return checks + _on_the_input()


def _beside_inputs(
    effort: Effort, what: str, name: str, asked: bool, *, probe: Any, count: int, n: int = 500
) -> tuple[np.ndarray, np.ndarray]:
    """Return, for so many samples, whether the probe gains over the raw input at .05, and how much accuracy."""
    rejected, gains = np.zeros(count, dtype=bool), np.zeros(count)
    for repetition in range(count):
        rng = effort.stream("networks-input", what, repetition)
        problem, _ = _problem(zoo.network(name, effort.short), asked, "xor", n, rng)
        p, gains[repetition] = _beside_input(probe, problem)
        rejected[repetition] = p <= 0.05
    return rejected, gains


def quadratic_probe(X: np.ndarray, y: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Fit a ridge classifier on all products of two features, by its kernel (1 + x·z)²; return the predictor."""
    centre, scale = X.mean(axis=0), X.std(axis=0)
    scale = np.where(scale > 1e-9, scale, 1.0) * np.sqrt(X.shape[1])
    rows = (X - centre) / scale
    kernel = np.square(1 + rows @ rows.T)
    dual = np.linalg.solve(kernel + 1e-2 * np.eye(len(rows)), 2.0 * y - 1)
    return lambda new: (np.square(1 + (new - centre) / scale @ rows.T) @ dual > 0).astype(np.int64)


def _beside_input(probe: Any, problem: Problem) -> tuple[float, float]:
    """Return p, and the accuracy gained over the raw input."""
    from controls.experiment import measure
    from controls.generators import InputBaseline

    result = measure(probe, problem, controls=[InputBaseline(site="input")], draws=19)
    return result.comparisons[0].p_value, result.comparisons[0].selectivity.value


def _on_the_input() -> list[Check]:
    """Return what the two probes can know of a product from the raw input, exactly."""
    from sklearn.preprocessing import PolynomialFeatures

    X, probabilities = zoo.INPUTS.enumerate()
    T = combine(X, (0, 1), "product")
    squares = PolynomialFeatures(2, include_bias=False).fit_transform(X)
    linear, quadratic = (float(partial_r2(H, T, probabilities)[0]) for H in (X, squares))
    return [
        Exact("raw input: R² of the product, linear probe", 0.0, linear, 1e-9),
        Exact("raw input: R² of the product, quadratic probe", 1.0, quadratic, 1e-9),
    ]


CASES = (
    Case(
        "networks: labels",
        "Five networks, labels of an AND shuffled: is the label linearly predictable at all?",
        "Yes everywhere, from the raw input and from layers that hold nothing of that AND: 2q/(1 + q) = 2/3 of its "
        "variance is linear in its two inputs. Never evidence of computation.",
        labels,
    ),
    Case(
        "networks: interaction",
        "Five networks, the centred product permuted in balanced cells: is the product linearly available?",
        "Exactly null on the raw input and for pairs that no neuron sees; elsewhere the adjusted R² is the exact one, "
        "by enumeration of all 1,024 inputs.",
        interactions,
    ),
    Case(
        "networks: input",
        "Five networks, labels an XOR, the same probe on the raw input: did the layer make it readable?",
        "To a linear probe the input says nothing of an XOR. A quadratic probe finds all of it there: layer minus "
        "input is at most 0, since the probe computed it.",
        input_baseline,
    ),
)
