"""Interactions as users ask for them: InteractionLabels through measure, probes that compute, types that saturate."""

from __future__ import annotations

import warnings
from itertools import combinations

import numpy as np
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures

from controls.core.control import Control
from controls.core.errors import ControlsWarning
from controls.core.problem import Problem
from controls.core.result import Result
from controls.experiment import measure
from controls.generators.inputs import InputBaseline
from controls.generators.interactions import InteractionLabels
from controls.generators.labels import ShuffleLabels
from controls.generators.random_labels import ControlTask
from controls.ground_truth import Bernoulli, Layer, QuadraticLayer, RandomTypes
from controls.probes import RidgeProbe
from controls.testing.suite.case import Bound, Case, Check, Effect, Effort, NearZero, Rejections, Seen, Verdict

DRAWS = 19
PAIR = ("x0", "x1")


def _measured(problem: Problem, *battery: Control, seed: int, trainer: object = None) -> Result:
    return measure(
        RidgeProbe() if trainer is None else trainer,
        problem,
        controls=battery,
        scoring="r2",
        draws=DRAWS,
        smallest_effect=0.05,
        seed=seed,
    )


# -- labels --------------------------------------------------------------------------------------------


def _apart(effort: Effort, seed: int, n: int) -> Problem:
    """Return a sparse layer of eight inputs of rate .1 in which no neuron sees both that are asked about."""
    rng = effort.stream("interaction-labels", n, seed)
    weights = (rng.random((16, 8)) < 0.4).astype(float)
    weights[:8, 0], weights[8:, 1] = 0, 0
    return Layer(weights, -1.0, inputs=Bernoulli(8, q=0.1)).sample(n, rng)


def _alarms(effort: Effort, maker: InteractionLabels, n: int) -> tuple[int, int, float]:
    """Return false alarms, how many times it could be asked, and the mean selectivity."""
    effects, alarms = [], 0
    for seed in range(effort.repetitions(60, 600)):
        problem = _apart(effort, seed, n)
        if min(maker.cells(problem).values()) < 1:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ControlsWarning)  # the warning is what this case is about
            labelled = maker(problem)
        found = _measured(labelled, ShuffleLabels(), seed=seed).comparisons[0]
        alarms += found.p_value <= 0.05
        effects.append(found.selectivity.value)
    return alarms, len(effects), float(np.mean(effects))


def interaction_labels(effort: Effort) -> list[Check]:
    """Count false alarms with and without balanced cells, and read exact shares of a quadratic layer."""
    balanced, asked, effect = _alarms(effort, InteractionLabels(PAIR, balance=True), 20_000)
    naive, asked_naively, _ = _alarms(effort, InteractionLabels(PAIR), 300)
    return [
        Rejections("p of a true null, balanced cells", balanced, asked),
        NearZero("selectivity of a true null, balanced cells", effect),
        Seen("p of a true null, features of rate .1 as they come", naive, asked_naively),
        *(_share(effort, d) for d in (9, 18)),
    ]


def _share(effort: Effort, d: int) -> Check:
    """Return the mean selectivity of products in quadratic layers, whose mean share over pairs is exactly d/45.

    Held-out R² of p coefficients fitted to n rows is 1 - (1 - share)(1 + p/n), and -p/n of shuffled labels.
    """
    n, found = 8000, []
    for seed in effort.seeds(8, 40):
        rng = effort.stream("interaction-labels", "quadratic", d, seed)
        layer = QuadraticLayer(m=10, d=d, seed=seed).layer
        i, j = list(combinations(range(10), 2))[int(rng.integers(45))]
        problem = layer.sample(n, rng, concepts=(i, j), balanced=True)
        beside = problem.with_activations(np.hstack([problem.X, problem.array_at("input")]))
        labelled = InteractionLabels((f"x{i}", f"x{j}"))(beside)
        result = _measured(labelled, ShuffleLabels(), seed=seed)
        share = layer.truth.partial_r2((i, j), balanced=True)
        found.append(result.comparisons[0].selectivity.value / (1 + (d + 10) / (0.8 * n)) - share)
    error = float(np.std(found, ddof=1) / np.sqrt(len(found)))
    what = f"selectivity of a product, less optimism, quadratic layer, d = {d}"
    return Effect(what, d / 45, d / 45 + float(np.mean(found)), error, len(found))


# -- probes that compute ---------------------------------------------------------------------------------


def quadratic_probe(effort: Effort) -> list[Check]:
    """Ask for a product that no layer computed, with a probe that computes it."""
    repetitions = effort.repetitions(5, 15)
    trainer = make_pipeline(PolynomialFeatures(2), Ridge(1e-3))
    fooled = holds = 0
    differences = []
    for seed in range(repetitions):
        rng = effort.stream("quadratic-probe", seed)
        layer = Layer(rng.standard_normal((4, 4)), activation="identity", inputs=Bernoulli(4))
        labelled = InteractionLabels(PAIR, balance=True)(layer.sample(400, rng))
        battery = (ShuffleLabels(), InputBaseline(site="input"))
        result = _measured(labelled, *battery, seed=seed, trainer=trainer)
        fooled += result["ShuffleLabels"].verdict == "SELECTIVE"
        holds += result.verdict == "HOLDS"
        differences.append(result["InputBaseline"].selectivity.value)
    return [
        Seen("SELECTIVE against shuffled labels alone", fooled, repetitions),
        NearZero("layer less input, same probe", float(np.mean(differences))),
        Bound("claims that hold against both", "at most", 0.0, float(holds)),
    ]


# -- types that saturate ---------------------------------------------------------------------------------


def saturated_types(effort: Effort) -> list[Check]:
    """Ask for an AND that is computed, against a control task on the 64 types that there are."""
    return [check for d, noise in ((16, 0.0), (100, 0.0), (100, 1.0)) for check in _type_level(effort, d, noise)]


def _type_level(effort: Effort, d: int, noise: float) -> list[Check]:
    world, copies = RandomTypes(m=6, d=d), 12
    X = np.repeat(world.layer.inputs.enumerate()[0], copies, axis=0)
    rng = effort.stream("saturated-types", d, str(noise))
    H = world.layer.hidden(X) + noise * rng.standard_normal((len(X), d))
    problem = Problem(H, X[:, 0] * X[:, 1], groups={"word": np.repeat(np.arange(64), copies)})
    found = _measured(problem, ControlTask(per="word"), seed=0, trainer=RidgeProbe(alpha=1e-6)).comparisons[0]
    said = "saturated" if any(caveat.startswith("saturated") for caveat in found.caveats) else "nothing"
    limited = d == 100 and not noise
    where = f"d = {d}, noise {noise:g}"
    what, effect = f"selectivity, {where}", found.selectivity.value
    return [
        Verdict(f"what the report says, {where}", "saturated" if limited else "nothing", said),
        NearZero(what, effect) if limited else Bound(what, "at least", 0.2, effect),
    ]


CASES = (
    Case(
        "interaction labels",
        "Is the product of two concepts there, asked by InteractionLabels and ct.measure?",
        "null where no neuron sees both; of quadratic layers d/45 on average over pairs, exactly",
        interaction_labels,
    ),
    Case(
        "quadratic probe",
        "A quadratic probe finds the product of two inputs in a linear layer: did the layer compute it?",
        "no: the probe did, and finds it in the raw input as well",
        quadratic_probe,
    ),
    Case(
        "saturated types",
        "Selectivity of an AND against a control task on 64 types",
        "0 where the layer tells all types apart (rank 63 of 63) and rows of a type do not differ; else above",
        saturated_types,
    ),
)
