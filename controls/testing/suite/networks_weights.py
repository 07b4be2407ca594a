"""Redrawn weights and other pairs: wide networks that learned nothing, what relies on a layer, and a placebo."""

from __future__ import annotations

from math import comb, pi, sqrt

import numpy as np

from controls.ground_truth import Bernoulli, Network, redraw_gaussian
from controls.testing.suite import zoo
from controls.testing.suite.case import Bound, Case, Check, Effect, Effort, Rejections, Verdict

_ASKED = len(zoo.PAIRS)


def generic(effort: Effort) -> list[Check]:
    """Draw wide networks from the law of their control, many times."""
    repetitions, draws = effort.repetitions(30, 600), 19
    differences, rejected, own = [], 0, []
    X, _ = Bernoulli(8).enumerate()
    for repetition in range(repetitions):
        rng = effort.stream("networks-generic", repetition)
        weights = rng.standard_normal((100, 8))
        stack = np.stack([weights] + [redraw_gaussian(weights, rng) for _ in range(draws)])
        drawn = zoo.mean_shares(np.maximum(X @ stack.transpose(0, 2, 1), 0.0), X)
        own.append(drawn[0])
        differences.append(drawn[0] - drawn[1:].mean())
        rejected += bool((drawn >= drawn[0] - 1e-12).sum() == 1)
    error = zoo.effect_error(np.array(differences))
    return [
        Rejections("p at most .05", rejected, repetitions),
        Effect("difference", 0.0, float(np.mean(differences)), error, repetitions),
        Bound("partial R² of the networks drawn", "at least", 0.9, float(np.min(own))),
    ]


def co_adapted(effort: Effort) -> list[Check]:
    """Redraw one layer and keep the other: how much of their interaction do the outputs still have?"""
    checks: list[Check] = []
    for name in ("A", "B", "C", "D"):
        found = zoo.network(name, effort.short)
        own = float(found.contrasts(found.pairs).diagonal().mean())
        count = effort.repetitions(39, 199)
        rng = effort.stream("networks-readout", name)
        first = np.array([_own_contrast(_redrawn_first(found, rng)) for _ in range(count)])
        directions = found.directions(found.pairs)
        readouts = (redraw_gaussian(found.readout, rng) for _ in range(20 * count))
        second = np.array([np.einsum("kd,kd->k", readout, directions).mean() for readout in readouts])
        for words, drawn in (("first layer", first), ("readout", second)):
            verdict, _ = zoo.against(own, drawn)
            checks.append(Verdict(f"{name}, {words} redrawn, the other kept", "SELECTIVE", verdict))
        checks.append(_mean_contrast(f"{name}, readout redrawn: own contrast", 0.0, second))
        if name == "C":
            expected = _mean_neuron(found) * float(found.readout.sum(axis=1).mean())
            checks.append(_mean_contrast("C, first layer redrawn: own contrast", expected, first))
            checks.append(Bound("C: own contrast", "at least", 0.9, own))
    return checks


def _redrawn_first(found: Network, rng: np.random.Generator) -> Network:
    return found.with_weights(redraw_gaussian(found.layer.weights, rng))


def _own_contrast(found: Network) -> float:
    return float(found.contrasts(found.pairs).diagonal().mean())


def _mean_contrast(what: str, expected: float, drawn: np.ndarray) -> Effect:
    return Effect(what, expected, float(drawn.mean()), zoo.effect_error(drawn), len(drawn))


def _mean_neuron(found: Network) -> float:
    """Return the mean interaction contrast of a ReLU neuron with normal weights, no bias and fair inputs.

    With k inputs on, its mean is σ √(k / 2π).
    """
    others = found.layer.m - 2
    bend = sum(comb(others, k) * (sqrt(k + 2) - 2 * sqrt(k + 1) + sqrt(k)) for k in range(others + 1)) / 2**others
    return float(np.sqrt(np.mean(found.layer.weights**2) / (2 * pi)) * bend)


def placebo(effort: Effort) -> list[Check]:
    """Ask the same layer for other pairs: those that a random renaming of the inputs makes of the computed ones."""
    checks: list[Check] = []
    for name in zoo.NAMES:
        own = zoo.shares(zoo.network(name, effort.short))
        score, scores = _placebo(own, effort.pick(199, 999), effort.stream("networks-placebo", name))
        verdict, _ = zoo.against(score, scores)
        expected = {"A": "SELECTIVE", "B": "SELECTIVE", "D": "NEGLIGIBLE"}.get(name, "generic")
        if expected == "generic" and verdict in ("EQUIVALENT", "NEGLIGIBLE"):
            verdict = "generic"
        checks.append(Verdict(f"{name}: other pairs in their place", expected, str(verdict)))
    repetitions, rejected, differences = effort.repetitions(200, 1000), 0, []
    for repetition in range(repetitions):
        rng = effort.stream("networks-placebo", "drawn", repetition)
        own = zoo.shares(zoo.drawn(12, "placebo", repetition))
        score, scores = _placebo(own, 39, rng)
        rejected += bool((scores >= score - 1e-12).sum() + 1 <= 2)
        differences.append(score - scores.mean())
    error = zoo.effect_error(np.array(differences))
    return [
        *checks,
        Rejections("networks drawn, d = 12: p at most .05", rejected, repetitions),
        Effect("networks drawn, d = 12: difference", 0.0, float(np.mean(differences)), error, repetitions),
    ]


def _placebo(own: np.ndarray, count: int, rng: np.random.Generator) -> tuple[float, np.ndarray]:
    """Return the mean over the computed pairs, and over what renamed inputs make of them.

    Renaming keeps how the pairs hang together; networks whose inputs are exchangeable meet the level exactly.
    """
    table = np.zeros((zoo.M, zoo.M))
    i, j = np.array(zoo.ALL).T
    table[i, j] = table[j, i] = own
    first, second = np.array(zoo.PAIRS).T
    names = np.array([rng.permutation(zoo.M) for _ in range(count)])
    return float(own[:_ASKED].mean()), table[names[:, first], names[:, second]].mean(axis=1)


CASES = (
    Case(
        "networks: generic",
        "Wide random networks (m = 8, d = 100), ranked among normal weights, the readout fitted again.",
        "Null, though over 90% of the interactions are readable: the network is a draw from the law of its control.",
        generic,
    ),
    Case(
        "networks: readout",
        "Four networks, one layer redrawn and the other kept: does the readout rely on this first layer?",
        "Yes in all, C too, of which nothing in the first layer was learned. With a redrawn readout the mean contrast "
        "is 0; over a redrawn first layer that of a mean neuron, in closed form.",
        co_adapted,
    ),
    Case(
        "networks: placebo",
        "Five networks, other pairs in the place of those that they compute: is the layer special to these pairs?",
        "A and B are; C and B0 are exchangeable in their inputs, so that the rank is exact; D is, by little.",
        placebo,
    ),
)
