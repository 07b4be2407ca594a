"""A layer on Boolean inputs with a linear readout: what it holds, and what it uses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, final

import numpy as np

from controls.core.errors import InputError, InputTypeError
from controls.core.problem import Problem, Source
from controls.core.validate import in_one_line, one_of, random_generator, read_only, whole_number
from controls.ground_truth.bits import InputLaw, check_concepts, combine
from controls.ground_truth.layers import Layer
from controls.ground_truth.shapes import listed, numbers, shaped

if TYPE_CHECKING:
    import torch

Pair = tuple[int, int]


@final
@dataclass(frozen=True, eq=False)
class Network:
    """A hidden layer, and a linear readout with one output for each of some pairs of inputs.

    Interactions of other pairs may be as readable from the layer; that the network does not use them
    shows in its outputs alone.

    Parameters
    ----------
    layer : Layer
        The hidden layer of d neurons, with the law of its inputs.
    readout : array of shape (k, d)
        An output per pair.
    offsets : array of shape (k,)
        Added to the outputs.
    pairs : sequence of (i, j)
        The inputs that each output combines.
    ask : {"and", "or", "xor"}, default "and"
        What the outputs should be.

    Examples
    --------
    >>> from controls.ground_truth import TargetedAnd
    >>> layer = TargetedAnd(6, ((0, 1), (2, 3))).layer  # by hand: a neuron per AND
    >>> network = least_squares_network(layer, [(0, 1), (2, 3)])
    >>> network.outputs(np.array([[1, 1, 0, 1, 0, 0]])).round(6).tolist()
    [[1.0, 0.0]]
    >>> network.steered([(0, 1), (0, 2)]).round(6).tolist()  # one that it computes, and one that it does not
    [[1.0, 0.0], [0.0, 0.0]]
    """

    layer: Layer
    readout: np.ndarray
    offsets: np.ndarray
    pairs: tuple[Pair, ...]
    ask: str = "and"

    def __post_init__(self) -> None:
        if not isinstance(self.layer, Layer):
            raise InputTypeError(f"layer must be a Layer, got {type(self.layer).__name__}.")
        pairs = check_pairs(self.pairs, self.layer.m)
        one_of(self.ask, "ask", ("and", "or", "xor"))
        readout, offsets = (np.array(numbers(getattr(self, name), name)) for name in ("readout", "offsets"))
        if readout.shape != (len(pairs), self.layer.d) or offsets.shape != (len(pairs),):
            raise InputError(
                f"readout must have shape ({len(pairs)} pairs, {self.layer.d} neurons) and offsets ({len(pairs)},), "
                f"got {readout.shape} and {offsets.shape}."
            )
        for name, value in (("pairs", pairs), ("readout", read_only(readout)), ("offsets", read_only(offsets))):
            object.__setattr__(self, name, value)

    @property
    def others(self) -> tuple[Pair, ...]:
        """The pairs that no output combines."""
        return tuple(pair for pair in combinations(range(self.layer.m), 2) if pair not in self.pairs)

    def outputs(self, X: np.ndarray) -> np.ndarray:
        """Return the outputs (n, k) of inputs (n, m)."""
        return self.layer.hidden(X) @ self.readout.T + self.offsets

    def targets(self, X: np.ndarray) -> np.ndarray:
        """Return what the outputs should be, 0 or 1, shape (n, k)."""
        return np.stack([combine(X, pair, self.ask) for pair in self.pairs], axis=1).astype(np.float64)

    def errors(self) -> tuple[np.ndarray, np.ndarray]:
        """Return outputs minus targets over all inputs: those where the target is 0, and those where it is 1."""
        X, _ = self.layer.inputs.enumerate()
        targets = self.targets(X)
        errors = self.outputs(X) - targets
        return errors[targets == 0], errors[targets == 1]

    def contrasts(self, pairs: Sequence[Pair]) -> np.ndarray:
        """Return how much of the interaction of each pair is in each output, shape (len(pairs), k): 1 for an AND of it.

        The interaction contrast is the mean output over all inputs where both are on, minus those
        where one is, plus those where none is.
        """
        X, probabilities = self.layer.inputs.enumerate()
        return interaction_contrasts(self.outputs(X), X, probabilities, pairs)

    def directions(self, pairs: Sequence[Pair]) -> np.ndarray:
        """Return the direction of each pair's interaction in the hidden layer, its contrast there: (len(pairs), d)."""
        X, probabilities = self.layer.inputs.enumerate()
        return interaction_contrasts(self.layer.hidden(X), X, probabilities, pairs)

    def steered(self, pairs: Sequence[Pair]) -> np.ndarray:
        """Return how far each output moves when a pair's direction is added to the hidden layer: (len(pairs), k)."""
        return self.directions(pairs) @ self.readout.T

    def with_weights(self, weights: np.ndarray, *, refit: bool = False) -> Network:
        """Return this network with other weights of the layer, its readout kept, or fitted again by least squares."""
        layer = replace(self.layer, weights=weights)
        if refit:
            return least_squares_network(layer, self.pairs, ask=self.ask)
        return replace(self, layer=layer)

    def module(self) -> torch.nn.Module:
        """Return a torch module that computes the same, in float64; its parts are ``hidden`` and ``readout``."""
        from controls.ground_truth.network_modules import TwoLayers

        return TwoLayers(self.layer.module(), self.readout, self.offsets)

    def sample(
        self, n: int, rng: np.random.Generator, *, concepts: Pair = (0, 1), ask: str = "and", balanced: bool = False
    ) -> Problem:
        """Return the problem of ``Layer.sample``, with a third site, "output", and the whole network as its source."""
        from controls.ground_truth.network_modules import hidden_of

        problem = self.layer.sample(n, rng, concepts=concepts, ask=ask, balanced=balanced)
        X = problem.array_at("input")
        return Problem(
            {"input": X, "hidden": problem.X, "output": self.outputs(X)},
            problem.labels,
            groups=problem.groups,
            source=Source(self.module(), X, hidden_of),
        ).at("hidden")


def least_squares_network(layer: Layer, pairs: Sequence[Pair], *, ask: str = "and") -> Network:
    """Return a layer with the readout of least squared error over the law of its inputs.

    Parameters
    ----------
    layer : Layer
    pairs : sequence of (i, j)
        An output for each.
    ask : {"and", "or", "xor"}, default "and"

    Returns
    -------
    Network

    Notes
    -----
    Costs one least-squares problem of N distinct inputs and d + 1 columns; of several solutions (dead or
    duplicate neurons) the shortest.

    Examples
    --------
    >>> from controls.ground_truth import QuadraticLayer
    >>> network = least_squares_network(QuadraticLayer(6, 21).layer, [(0, 1)])
    >>> zeros, ones = network.errors()
    >>> bool(max(abs(zeros).max(), abs(ones).max()) < 1e-9)  # 21 squares hold all that is of degree two
    True
    """
    if not isinstance(layer, Layer):
        raise InputTypeError(f"layer must be a Layer, got {type(layer).__name__}.")
    pairs = check_pairs(pairs, layer.m)
    blank = Network(layer, np.zeros((len(pairs), layer.d)), np.zeros(len(pairs)), pairs, ask)
    X, probabilities = layer.inputs.enumerate()
    weights = np.sqrt(probabilities)[:, None]
    columns = np.hstack([layer.hidden(X), np.ones((len(X), 1))])
    solution = np.linalg.lstsq(weights * columns, weights * blank.targets(X), rcond=1e-10)[0]
    return replace(blank, readout=solution[:-1].T, offsets=solution[-1])


def random_network(
    pairs: Sequence[Pair], d: int, rng: np.random.Generator, *, inputs: InputLaw, ask: str = "and"
) -> Network:
    """Return a network with normal weights, ReLU without bias, and the readout of least squared error.

    Parameters
    ----------
    pairs : sequence of (i, j)
    d : int
        Neurons; their weights have standard deviation 1/√m.
    rng : numpy.random.Generator
    inputs : InputLaw
    ask : {"and", "or", "xor"}, default "and"

    Notes
    -----
    With many neurons every interaction of two inputs is readable from it, though none was learned.

    Examples
    --------
    >>> from controls.ground_truth import Bernoulli
    >>> network = random_network([(0, 1)], 200, np.random.default_rng(0), inputs=Bernoulli(8))
    >>> bool(network.layer.truth.partial_r2_of(network.others).min() > 0.9)  # readable
    True
    >>> bool(abs(network.steered(network.others)).max() < 0.05)  # and not used
    True
    """
    if not isinstance(inputs, InputLaw):
        raise InputTypeError(f"inputs must be Bernoulli, Sparse or Signs, got {type(inputs).__name__}.")
    weights = random_generator(rng).standard_normal((whole_number(d, "d", low=1), inputs.m)) / np.sqrt(inputs.m)
    return least_squares_network(Layer(weights, inputs=inputs), pairs, ask=ask)


def interaction_contrasts(
    values: np.ndarray, X: np.ndarray, probabilities: np.ndarray, pairs: Sequence[Pair]
) -> np.ndarray:
    """Return mean values at (1, 1) − (1, 0) − (0, 1) + (0, 0) of each pair of inputs.

    Parameters
    ----------
    values : array of shape (N, k)
        For each of the N distinct inputs.
    X : array of shape (N, m)
        The inputs, on where above 0.
    probabilities : array of shape (N,)
    pairs : sequence of (i, j)

    Returns
    -------
    array of shape (len(pairs), k)

    Raises
    ------
    InputError
        The inputs of a pair are never on together, or never off.
    """
    X = shaped(X, "X", ("N", "m"))
    values, probabilities = shaped(values, "values", (len(X), "k")), shaped(probabilities, "probabilities", (len(X),))
    i, j = np.array(check_pairs(pairs, X.shape[1])).T
    first, second = (X[:, i] > 0).T, (X[:, j] > 0).T
    signed = np.zeros(first.shape)
    for one in (True, False):
        for two in (True, False):
            cell = ((first == one) & (second == two)) * probabilities
            mass = cell.sum(axis=1, keepdims=True)
            if not (mass > 0).all():
                raise InputError(
                    "pairs must have inputs that take all four values, got a pair with one that never comes."
                )
            signed += (1.0 if one == two else -1.0) * cell / mass
    return signed @ values


def check_pairs(pairs: Sequence[Pair], m: int) -> tuple[Pair, ...]:
    """Return at least one pair of different positions of inputs, each from 0 to m − 1."""
    found = tuple(check_concepts(pair, m, "pairs") for pair in listed(pairs, "pairs"))
    if not found or any(len(pair) != 2 for pair in found):
        shown = in_one_line(pairs)
        raise InputError(f"pairs must be pairs of positions of inputs, such as [(0, 1), (2, 3)], got {shown}.")
    return found  # type: ignore[return-value]
