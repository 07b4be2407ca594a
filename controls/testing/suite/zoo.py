"""The five networks that every control is put to: made by hand, trained, or drawn; narrow or wide."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import combinations
from typing import Any

import numpy as np

from controls.core.result import Estimate
from controls.core.rng import stream
from controls.ground_truth import Bernoulli, Descent, Network, TargetedAnd, least_squares_network, random_network
from controls.ground_truth.networks import Pair
from controls.ground_truth.population import partial_r2
from controls.stats.interval import bounds
from controls.stats.verdict import Evidence, judge

M = 10
PAIRS: tuple[Pair, ...] = ((0, 1), (2, 3), (4, 5), (6, 7), (8, 9), (0, 2))  # those that the networks compute
INPUTS = Bernoulli(M)
NAMES = {
    "A": "made by hand, d = 12",
    "B": "trained, d = 12",
    "B0": "B before training",
    "C": "random, d = 200",
    "D": "trained, d = 200",
}
STEPS = {"B": (1500, 3000), "D": (500, 1500)}  # short, full
STARTS = 4  # of B: a narrow network may be caught where an output is not learned


@cache
def network(name: str, short: bool) -> Network:
    """Return a network of the zoo; trained once per process."""
    if name == "A":
        return least_squares_network(TargetedAnd(M, PAIRS, copies=2).layer, PAIRS)
    if name in ("B0", "B"):
        return _trained_narrow(short)[name == "B"]
    if name == "D":
        return Descent(steps=STEPS["D"][not short]).train(drawn(200, "D"))
    return drawn(200, name)


@cache
def _trained_narrow(short: bool) -> tuple[Network, Network]:
    """Return the start and the end of the best of several trainings, by what was trained for: squared error."""
    descent = Descent(steps=STEPS["B"][not short])
    starts = [drawn(12, "B0", number) for number in range(STARTS)]
    runs = [(start, descent.train(start)) for start in starts]
    return min(runs, key=lambda run: sum(float(np.square(errors).sum()) for errors in run[1].errors()))


def drawn(d: int, *key: str | int) -> Network:
    """Return a network with normal weights, its readout fitted for the pairs."""
    return random_network(PAIRS, d, stream(0, "suite", "zoo", *key), inputs=INPUTS)


ALL: tuple[Pair, ...] = (*PAIRS, *(pair for pair in combinations(range(M), 2) if pair not in PAIRS))


def shares(found: Network, pairs: Sequence[Pair] = ALL) -> np.ndarray:
    """Return the exact partial R² of pairs in a network's layer, by enumeration of all inputs."""
    X, probabilities = INPUTS.enumerate()
    on = X - 0.5
    T = np.stack([on[:, i] * on[:, j] for i, j in pairs], axis=1)
    return partial_r2(found.layer.hidden(X), T, probabilities, X)


def mean_shares(hidden: np.ndarray, X: np.ndarray) -> np.ndarray:
    """Return the mean exact partial R² over all pairs of inputs, of layers at once, shape (k,).

    Parameters
    ----------
    hidden : array of shape (k, 2^m, d)
        Each layer on all inputs, of which each is as likely.
    X : array of shape (2^m, m)
        The inputs, 0 or 1.
    """
    on = 2 * X - 1
    T = np.stack([on[:, i] * on[:, j] for i, j in combinations(range(X.shape[1]), 2)], axis=1) / np.sqrt(len(X))
    linear = np.linalg.qr(np.hstack([np.ones((len(X), 1)), X]))[0]
    U, lengths, _ = np.linalg.svd(hidden - linear @ (linear.T @ hidden), full_matrices=False)
    kept = lengths > 1e-9 * np.linalg.norm(hidden, axis=(1, 2))[:, None]
    return (np.square(U.transpose(0, 2, 1) @ T).sum(axis=2) * kept).sum(axis=1) / T.shape[1]


def against(score: float, draws: np.ndarray, *, smallest_effect: float = 0.1) -> tuple[Any, float]:
    """Return the library's verdict on one network beside its redraws, and the share of redraws that rank as high.

    The interval is that of the mean of the redraws: one network against what this ensemble gives.
    """
    count, spread = len(draws), float(draws.std(ddof=1))
    error, difference = spread / np.sqrt(count), score - float(draws.mean())
    upper, lower = ((1 + int((sign * draws >= sign * score - 1e-12).sum())) / (count + 1) for sign in (1, -1))
    estimate = Estimate(difference, difference, difference, 0.95, max(error, 1e-15), count - 1, "fitted")
    evidence = Evidence(estimate, bounds(estimate, 0.05), upper, lower, 1 / (count + 1), count, None, test=False)
    return judge(evidence, 0.05, smallest_effect)[0], upper


def effect_error(values: np.ndarray) -> float:
    """Return the standard error of the mean of values along the first axis."""
    return float(np.std(values, ddof=1) / np.sqrt(len(values)))
