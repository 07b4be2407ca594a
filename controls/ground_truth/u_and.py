"""Universal AND: a sparse random layer of which every AND of two inputs can be read, and what the readoff errs by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import log, sqrt
from typing import final

import numpy as np

from controls.core.errors import InputError
from controls.core.rng import stream
from controls.core.validate import one_of, read_only, real_number, whole_number
from controls.ground_truth.bits import InputLaw, Sparse, check_concepts
from controls.ground_truth.layers import Layer, LayerWorld
from controls.ground_truth.shapes import listed, numbers, rows_of

CASES = ("11", "10", "00")
READS = ("and", "xor")


def optimal_p(s: int, d: int) -> float:
    """Return the density (2(s − 1)d)^(−1/3) at which readoffs of a sparse layer err least.

    Parameters
    ----------
    s : int
        Number of active inputs, at least 2.
    d : int
        Number of neurons.

    Returns
    -------
    float
        At most 1. It minimises the leading terms, (s − 1)²p² + (s − 1)/(dp), of the squared error in
        the case where one of the two inputs is on.

    Examples
    --------
    >>> round(optimal_p(3, 16000), 3)
    0.025
    """
    return min(1.0, (2 * (whole_number(s, "s", low=2) - 1) * whole_number(d, "d", low=1)) ** (-1 / 3))


@final
@dataclass(frozen=True)
class ErrorLaw:
    """Mean and variance of what a readoff errs by, over draws of the layer, where it is made of n neurons.

    Parameters
    ----------
    mean : float
        Mean error, whatever n.
    neuron_variance : float
        Variance of one neuron; that of the readoff is this over n.

    Examples
    --------
    >>> law = error_law("10", s=3, p=0.1)
    >>> law.mean, law.sd(np.array([18, 0])).tolist(), round(float(law.rmse(18)), 3)
    (0.2, [0.1, nan], 0.224)
    """

    mean: float
    neuron_variance: float

    def sd(self, n_common: int | np.ndarray) -> np.ndarray:
        """Return the standard deviation, for each number of neurons; NaN for none."""
        n_common = numbers(n_common, "n_common")
        return np.where(n_common > 0, np.sqrt(self.neuron_variance / np.maximum(n_common, 1)), np.nan)

    def rmse(self, n_common: int | np.ndarray) -> np.ndarray:
        """Return the root of the mean squared error, for each number of neurons; NaN for none."""
        return np.hypot(self.mean, self.sd(n_common))


def error_law(case: str, *, s: int, p: float, ask: str = "and") -> ErrorLaw:
    """Return the exact law of a readoff's error, over draws of the layer, given a pair's common neurons.

    Parameters
    ----------
    case : {"11", "10", "00"}
        How many of the pair are on.
    s : int
        Number of active inputs, the pair included; at least as many as are on.
    p : float
        Density of the layer.
    ask : {"and", "xor"}, default "and"
        What is read; an XOR errs by −2 times the AND.

    Returns
    -------
    ErrorLaw

    Notes
    -----
    A neuron that sees the pair has on its input the number on, less 1, and T active others, T being
    binomial. Its ReLU is 1 + T, T and max(T − 1, 0) in the three cases: AND errs upwards only. Errors
    of different inputs and of pairs that share inputs are not independent.
    """
    one_of(ask, "ask", READS)
    others = whole_number(s, "s", low=one_of(case, "case", CASES).count("1")) - case.count("1")
    p = real_number(p, "p", low=0, high=1, open_ends=False)
    mean, variance = others * p, others * p * (1 - p)
    if case == "00":
        none = (1 - p) ** others
        square = variance + (mean - 1) ** 2 - none  # of max(T − 1, 0)
        mean = mean - 1 + none
        variance = square - mean**2
    return ErrorLaw(mean, variance) if ask == "and" else ErrorLaw(-2 * mean, 4 * variance)


def bernstein_bound(*, m: int, s: int, p: float, n_common: float, failure: float = 0.5) -> float:
    """Return what no AND readoff errs by more than, for all pairs and all inputs at once, but for a small chance.

    Parameters
    ----------
    m, s : int
        Number of inputs, and of active ones, at least 2.
    p : float
        Density of the layer.
    n_common : float
        Number of neurons that every pair has in common at least (d p² on average).
    failure : float, default 0.5
        Chance, over draws of the layer, that some readoff errs by more.

    Returns
    -------
    float
        (s − 1)(p + √(2p(1 − p)L/n) + L/(3n)), L being the log of the number of pairs and third
        inputs over ``failure``: Bernstein's inequality and a union bound.

    Examples
    --------
    >>> round(bernstein_bound(m=100, s=3, p=0.05, n_common=40), 3)
    0.692
    """
    s, m = whole_number(s, "s", low=2), whole_number(m, "m", low=3)
    if s > m:
        raise InputError(f"s must be at most m ({m}), got {s}; no more inputs can be active than there are.")
    p = real_number(p, "p", low=0, high=1, open_ends=False)
    n_common = real_number(n_common, "n_common", low=0, high=float("inf"))
    tail = log(m * (m - 1) * (m - 2) / 2 / real_number(failure, "failure", low=0, high=1))
    return (s - 1) * (p + sqrt(2 * p * (1 - p) * tail / n_common) + tail / (3 * n_common))


@final
@dataclass(frozen=True)
class SparseAnd(LayerWorld):
    """A ReLU layer of random 0/1 weights and bias −1: any AND of two inputs is the mean of the neurons that see both.

    Parameters
    ----------
    m, d : int
        Number of inputs and of neurons.
    s : int, default 3
        Number of active inputs, at least 2.
    p : float, optional
        Density of the weights; ``optimal_p(s, d)`` by default.
    inputs : InputLaw, optional
        Law of the inputs, ``Sparse(m, s)`` by default. Exact nulls need ``Bernoulli``.
    seed : int, default 0
        Seed of the weights.

    Notes
    -----
    A pair has (1 − p²)^d chance to share no neuron. Then nothing reads its AND: its readoff is NaN,
    and ``truth.is_null(pair)`` says so for independent inputs.

    References
    ----------
    Vaintrob, Mendel and Hänni (2024), Toward a mathematical framework for computation in superposition.

    Examples
    --------
    >>> world = SparseAnd(m=50, d=4000)
    >>> world.sample(100, np.random.default_rng(0)).X.shape
    (100, 4000)
    >>> X = np.zeros((1, 50))
    >>> X[0, [0, 1, 2]] = 1
    >>> float(world.read(X, [(0, 1)])[0, 0].round(2)), round(1 + world.error_law("11").mean, 2)
    (1.0, 1.04)
    """

    m: int
    d: int
    s: int = 3
    p: float | None = None
    inputs: InputLaw | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        whole_number(self.m, "m", low=3)
        whole_number(self.d, "d", low=1)
        if whole_number(self.s, "s", low=2) > self.m:
            raise InputError(f"s must be at most m = {self.m}, got {self.s}.")
        whole_number(self.seed, "seed", low=0)
        if self.p is not None:
            real_number(self.p, "p", low=0, high=1)

    @property
    def density(self) -> float:
        """Chance that a neuron sees an input."""
        return optimal_p(self.s, self.d) if self.p is None else float(self.p)

    @cached_property
    def layer(self) -> Layer:
        """The layer, drawn from the seed."""
        rng = stream(self.seed, "sparse AND", self.m, self.d)
        weights = (rng.random((self.d, self.m)) < self.density).astype(np.float64)
        return Layer(weights, -1.0, inputs=Sparse(self.m, self.s) if self.inputs is None else self.inputs)

    @property
    def question(self) -> tuple[tuple[int, ...], str]:
        """The AND of the first two inputs."""
        return (0, 1), "and"

    @cached_property
    def n_common(self) -> np.ndarray:
        """How many neurons see both of two inputs, shape (m, m), int64."""
        weights = self.layer.weights
        return read_only((weights.T @ weights).astype(np.int64))

    def error_law(self, case: str, *, ask: str = "and") -> ErrorLaw:
        """Return the law of the error with s active inputs; see ``controls.ground_truth.error_law``."""
        return error_law(case, s=self.s, p=self.density, ask=ask)

    def readoff(self, pairs: Sequence[tuple[int, int]], *, ask: str = "and") -> np.ndarray:
        """Return a readoff per pair, shape (P, m + d), on inputs and neurons side by side.

        "and" has the mean of the neurons that see both, and zeros on the inputs; "xor" is the two
        inputs less twice that. Rows of pairs without a common neuron are NaN.
        """
        one_of(ask, "ask", READS)
        first, second = self._ends(pairs)
        both = self.layer.weights.T[first] * self.layer.weights.T[second]
        count = both.sum(axis=1, keepdims=True)
        neurons = np.where(count > 0, both / np.maximum(count, 1), np.nan)
        inputs = np.zeros((len(first), self.m))
        if ask == "and":
            return np.hstack([inputs, neurons])
        rows = np.arange(len(first))
        inputs[rows, first] = inputs[rows, second] = 1
        return np.hstack([inputs, -2 * neurons])

    def read(self, X: np.ndarray, pairs: Sequence[tuple[int, int]], *, ask: str = "and") -> np.ndarray:
        """Return what the readoffs say of inputs (n, m), shape (n, P); NaN where a pair has no common neuron."""
        X = rows_of(X, "X", self.m)
        return np.hstack([X, self.layer.hidden(X)]) @ self.readoff(pairs, ask=ask).T

    def worst_error(self, pairs: Sequence[tuple[int, int]], *, ask: str = "and") -> np.ndarray:
        """Return the largest absolute error over all inputs with s active ones, exactly, shape (P,).

        It is reached with one of the pair on, by the s − 1 others that most of the common neurons
        see; with both or none on, an error is never larger. NaN where a pair has no common neuron.
        Costs O(P m d).
        """
        first, second = self._ends(pairs)
        neurons = self.readoff(pairs)[:, self.m :]
        seen = neurons @ self.layer.weights
        seen[np.arange(len(first)), first] = seen[np.arange(len(first)), second] = -np.inf
        largest = np.sort(seen, axis=1)[:, self.m - min(self.s - 1, self.m - 2) :].sum(axis=1)
        largest = np.where(np.isnan(neurons).any(axis=1), np.nan, largest)
        return largest if one_of(ask, "ask", READS) == "and" else 2 * largest

    def _ends(self, pairs: Sequence[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
        for pair in listed(pairs, "pairs"):
            if len(check_concepts(pair, self.m, "pairs")) != 2:
                raise InputError(f"pairs must hold two positions each, got {pair!r}.")
        ends = np.array(pairs, dtype=np.int64).reshape(-1, 2)
        return ends[:, 0], ends[:, 1]
