"""Redrawn weights of five networks: what was learned, what is generic, and where a redraw is an exact control."""

from __future__ import annotations

from itertools import combinations
from math import comb, pi, sqrt

import numpy as np

from controls.ground_truth import REDRAWS, Bernoulli, Network, redraw_gaussian
from controls.testing.suite import zoo
from controls.testing.suite.case import Bound, Case, Check, Effect, Effort, Exact, Rejections, Seen, Verdict

LAWS = {"gaussian": "normal weights", "spectrum": "matched spectrum", "rows": "permuted rows"}
_ASKED = len(zoo.PAIRS)


def refitted(effort: Effort) -> list[Check]:
    """Redraw the first layer and fit the readout again: how readable are the pairs then?"""
    checks: list[Check] = []
    for name in zoo.NAMES:
        found = zoo.network(name, effort.short)
        own = zoo.shares(found)
        checks.append(Bound(f"{name}: sum over all pairs", "at most", float(found.layer.d), float(own.sum())))
        if name == "A":
            checks.append(Exact("A: computed pairs", 1.0, float(own[:_ASKED].mean()), 1e-9))
            checks.append(Exact("A: other pairs", 0.0, float(own[_ASKED:].mean()), 1e-9))
        for law, words in LAWS.items():
            count = effort.pick(19, 99) if found.layer.d > 100 else effort.pick(39, 199)
            drawn = _redrawn_shares(found, law, count, effort.stream("networks-refit", name, law))
            checks += _refit_checks(name, words, own, drawn)
    return checks


def _redrawn_shares(found: Network, law: str, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return the exact partial R² of all pairs in each redraw, shape (count, pairs)."""
    weights = found.layer.weights
    return np.array([zoo.shares(found.with_weights(REDRAWS[law](weights, rng))) for _ in range(count)])


def _refit_checks(name: str, words: str, own: np.ndarray, drawn: np.ndarray) -> list[Check]:
    asked, others = (slice(None, _ASKED), slice(_ASKED, None))
    score, scores = float(own[asked].mean()), drawn[:, asked].mean(axis=1)
    verdict, p = zoo.against(score, scores)
    difference = score - float(scores.mean())
    what = f"{name}, {words}"
    if name in ("A", "B"):
        other, _ = zoo.against(float(own[others].mean()), drawn[:, others].mean(axis=1), smallest_effect=0.0)
        return [
            Verdict(f"{what}: computed pairs", "SELECTIVE", verdict),
            Bound(f"{what}: difference", "at least", 0.6, difference),
            Verdict(f"{what}: other pairs", "WORSE THAN CONTROL", other),
        ]
    if name == "D":  # surely above its redraws, by little: both are said
        return [
            Verdict(f"{what}: computed pairs", "NEGLIGIBLE", verdict),
            Exact(f"{what}: share of redraws as high", 1 / (len(drawn) + 1), p, 1e-12),
        ]
    generic = "generic" if verdict in ("EQUIVALENT", "NEGLIGIBLE") else str(verdict)
    readable = "readable but " if score > 0.5 else ""
    expected = "readable but generic" if name == "C" else "generic"
    return [Verdict(f"{what}: computed pairs", expected, readable + generic)]


def sizes(effort: Effort) -> list[Check]:
    """Count how often networks that learned nothing rank among the top 5% of their redraws."""
    checks: list[Check] = []
    repetitions = effort.repetitions(200, 1000)
    for ensemble, bias in (("normal", 0.0), ("sparse 0/1", -1.0)):
        rng = effort.stream("networks-sizes", ensemble)
        top = {law: np.zeros(repetitions) for law in LAWS}
        differences = {law: np.zeros(repetitions) for law in LAWS}
        for repetition in range(repetitions):
            weights = rng.standard_normal((10, 8)) if bias == 0 else (rng.random((10, 8)) < 0.3).astype(float)
            for law in LAWS:
                stack = np.stack([weights] + [REDRAWS[law](weights, rng) for _ in range(19)])
                means = _mean_shares(stack, bias)
                top[law][repetition] = (means >= means[0] - 1e-12).sum() == 1
                differences[law][repetition] = means[0] - means[1:].mean()
        for law, words in LAWS.items():
            count, exact = int(top[law].sum()), ensemble == "normal" or law == "rows"
            what = f"{ensemble} weights against {words}"
            checks.append((Rejections if exact else Seen)(what, count, repetitions))
            if exact:
                mean, error = float(differences[law].mean()), zoo.effect_error(differences[law])
                checks.append(Effect(f"{what}: difference", 0.0, mean, error, repetitions))
    return checks


def _mean_shares(stack: np.ndarray, bias: float) -> np.ndarray:
    """Return the mean exact partial R² over all pairs, of layers (k, d, m) at once."""
    X, _ = Bernoulli(stack.shape[2]).enumerate()
    on = 2 * X - 1
    T = np.stack([on[:, i] * on[:, j] for i, j in combinations(range(X.shape[1]), 2)], axis=1) / sqrt(len(X))
    H = np.maximum(X @ stack.transpose(0, 2, 1) + bias, 0.0)
    linear = np.linalg.qr(np.hstack([np.ones((len(X), 1)), X]))[0]
    U, lengths, _ = np.linalg.svd(H - linear @ (linear.T @ H), full_matrices=False)
    kept = lengths > 1e-9 * np.linalg.norm(H, axis=(1, 2))[:, None]
    return (np.square(U.transpose(0, 2, 1) @ T).sum(axis=2) * kept).sum(axis=1) / T.shape[1]


def generic(effort: Effort) -> list[Check]:
    """Draw wide networks from the law of their control, many times."""
    repetitions, draws = effort.repetitions(30, 600), 19
    differences, rejected, own = [], 0, []
    for repetition in range(repetitions):
        rng = effort.stream("networks-generic", repetition)
        weights = rng.standard_normal((100, 8))
        drawn = _mean_shares(np.stack([weights] + [redraw_gaussian(weights, rng) for _ in range(draws)]), 0.0)
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
        "networks: refit",
        "Five networks, the first layer redrawn and the readout fitted again: is what is readable there learned?",
        "A and B: yes, and of their other pairs less is left than in a redraw, since the layer is spent. B0 and C were "
        "drawn so: readable perhaps, and generic. D surely exceeds its redraws, by little.",
        refitted,
    ),
    Case(
        "networks: sizes",
        "Small networks that learned nothing, ranked among redraws of their weights: how often in the top 5%?",
        "5% where the redraws have the law that the network has: normal weights against all three, sparse 0/1 weights "
        "against permuted rows alone. A spectrum or normal weights are another law, which sparse networks exceed.",
        sizes,
    ),
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
