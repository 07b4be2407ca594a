"""One hidden layer on Boolean inputs: problems in which what a linear readout can know is known exactly."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING, final

import numpy as np

from controls.core.errors import InputError, InputTypeError
from controls.core.problem import Problem, Source
from controls.core.validate import as_activations, in_one_line, one_of, read_only, real_number, true_or_false
from controls.ground_truth.bits import InputLaw, Signs, check_concepts, combine
from controls.ground_truth.expansion import expanded_partial_r2
from controls.ground_truth.population import null_certificate, partial_r2
from controls.ground_truth.shapes import listed, numbers, rows_of

if TYPE_CHECKING:
    import torch

ACTIVATIONS = ("relu", "clipped", "square", "identity")


def activate(z: np.ndarray, activation: str) -> np.ndarray:
    """Return max(z, 0), z cut to [0, 1], z² or z, by the name of the activation."""
    if activation == "relu":
        return np.maximum(z, 0.0)
    if activation == "clipped":
        return np.clip(z, 0.0, 1.0)
    return np.square(z) if activation == "square" else z


@final
@dataclass(frozen=True, eq=False)
class Layer:
    """One hidden layer, ``activation(x @ weights.T + bias)``, on inputs of a known law.

    Parameters
    ----------
    weights : array of shape (d, m)
        A row per neuron.
    bias : float or array of shape (d,), default 0.0
        A scalar 0 is no bias at all, also in the torch module.
    activation : {"relu", "clipped", "square", "identity"}, default "relu"
        "clipped" cuts to [0, 1]: the difference of two ReLUs.
    inputs : InputLaw
        ``Bernoulli``, ``Sparse`` or ``Signs`` of m inputs.

    Examples
    --------
    >>> from controls.ground_truth import Bernoulli
    >>> layer = Layer(np.array([[1.0, 1.0, 0.0]]), -1.0, inputs=Bernoulli(3))  # one neuron: the AND of 0 and 1
    >>> layer.sample(200, np.random.default_rng(0))
    Problem(n=200, d=1, labels='binary', groups=['x0', 'x1'], unit=None (rows: 200 units))
    >>> round(layer.truth.partial_r2((0, 1)), 12), layer.truth.partial_r2((0, 2))
    (1.0, 0.0)
    """

    weights: np.ndarray
    bias: np.ndarray | float = 0.0
    activation: str = "relu"
    inputs: InputLaw = field(kw_only=True)

    def __post_init__(self) -> None:
        weights = as_activations(numbers(self.weights, "weights"), "weights")
        if not isinstance(self.inputs, InputLaw):
            raise InputTypeError(f"inputs must be Bernoulli, Sparse or Signs, got {type(self.inputs).__name__}.")
        if weights.shape[1] != self.inputs.m:
            raise InputError(
                f"weights must have one column per input ({self.inputs.m}), got shape {weights.shape}; "
                "rows are neurons."
            )
        bias = numbers(self.bias, "bias")
        if bias.shape not in ((), (len(weights),)) or not np.isfinite(bias).all():
            raise InputError(
                f"bias must be a finite number, or one per neuron ({len(weights)}), got {in_one_line(bias)}."
            )
        one_of(self.activation, "activation", ACTIVATIONS)
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "bias", read_only(bias) if bias.ndim else float(bias))

    @property
    def m(self) -> int:
        """Number of inputs."""
        return self.weights.shape[1]

    @property
    def d(self) -> int:
        """Number of neurons."""
        return self.weights.shape[0]

    @property
    def truth(self) -> LayerTruth:
        """What a linear readout of the hidden layer can know, exactly."""
        return LayerTruth(self)

    def hidden(self, X: np.ndarray) -> np.ndarray:
        """Return the hidden layer (n, d) of inputs (n, m)."""
        return activate(rows_of(X, "X", self.m) @ self.weights.T + self.bias, self.activation)

    def module(self) -> torch.nn.Module:
        """Return a torch module that computes the same, in float64; its ``linear`` has the weights."""
        from controls.ground_truth.modules import BitLayer

        unbiased = np.ndim(self.bias) == 0 and self.bias == 0
        return BitLayer(self.weights, None if unbiased else np.broadcast_to(self.bias, self.d), self.activation)

    def sample(
        self,
        n: int,
        rng: np.random.Generator,
        *,
        concepts: tuple[int, ...] = (0, 1),
        ask: str = "and",
        balanced: bool = False,
        noise: float = 0.0,
    ) -> Problem:
        """Return a problem: the hidden layer of n inputs, and labels made of some of the inputs.

        Parameters
        ----------
        n : int
            Number of rows, which are independent.
        rng : numpy.random.Generator
        concepts : tuple of int, default (0, 1)
            Positions of the inputs that make the labels.
        ask : {"and", "or", "xor", "product"}, default "and"
            What is made of them (``combine``); "product" is centred at the rates of the law.
        balanced : bool, default False
            Whether the concepts are fair coins, the other inputs keeping their rates.
        noise : float, default 0.0
            Standard deviation of independent noise on the hidden layer.

        Returns
        -------
        Problem
            Site "hidden" of two, the other being "input" (``InputBaseline(site="input")``); a group
            "x3" for concept 3, 1 where it is on and 0 elsewhere; and a source: the torch module, the
            inputs, and how the one reads the other.
        """
        noise = real_number(noise, "noise", low=0, high=np.inf, open_ends=False)
        places = check_concepts(concepts, self.m)
        fair = places if true_or_false(balanced, "balanced") else ()
        X = self.inputs.sample(n, rng, balanced=fair)
        labels = combine(X, places, ask, rates=self.inputs.rates(balanced=fair))
        extra = noise * rng.standard_normal((len(X), self.d)) if noise else None
        return self.problem(X, labels, {f"x{place}": (X[:, place] > 0).astype(np.int64) for place in places}, extra)

    def problem(
        self, X: np.ndarray, labels: np.ndarray, groups: Mapping[str, np.ndarray], noise: np.ndarray | None = None
    ) -> Problem:
        """Return a problem on given inputs (n, m), with labels, groups and noise (n, d) of one's own.

        Sites and source are those of ``sample``.
        """
        from controls.ground_truth.modules import hidden_layer

        H = self.hidden(X) if noise is None else self.hidden(X) + noise
        source = Source(self.module(), X, partial(hidden_layer, noise=noise))
        return Problem({"input": X, "hidden": H}, labels, groups=groups, source=source).at("hidden")


@final
@dataclass(frozen=True, eq=False)
class LayerTruth:
    """What a linear readout of a layer's neurons can know of interactions of its inputs.

    Examples
    --------
    >>> from controls.ground_truth import Bernoulli
    >>> weights = np.random.default_rng(0).standard_normal((9, 10))
    >>> truth = Layer(weights, activation="square", inputs=Bernoulli(10)).truth
    >>> pairs = [(i, j) for i in range(10) for j in range(i)]
    >>> float(truth.partial_r2_of(pairs).sum().round(9))  # what nine neurons can hold in all
    9.0
    >>> truth.is_null((0, 1)), truth.is_null((0, 1, 2))
    (False, True)
    """

    layer: Layer

    def partial_r2(
        self, concepts: tuple[int, ...], *, balanced: bool = False, lower: bool = False, noise: float = 0.0
    ) -> float:
        """Return the share of the centred product of the concepts that is linear in the layer, given the inputs.

        Parameters
        ----------
        concepts : tuple of int
            Positions of at least two inputs.
        balanced : bool, default False
            Whether the concepts are fair coins.
        lower : bool, default False
            Whether centred products of fewer of the concepts are removed as well, as
            ``interaction_test`` does; for two concepts there are none.
        noise : float, default 0.0
            Standard deviation of independent noise on the layer.

        Returns
        -------
        float
            Between 0 and 1. Of two concepts it is that of their AND, OR and XOR as well.

        Raises
        ------
        InputError
            A neuron sees more than 16 inputs; of inputs that are not independent, more than 65,536.
        """
        concepts = check_concepts(concepts, self.layer.m)
        fair, order = (concepts if true_or_false(balanced, "balanced") else ()), len(concepts)
        sizes = range(2, order) if true_or_false(lower, "lower") else ()
        fewer = [part for size in sizes for part in combinations(concepts, size)]
        return float(self._shares([concepts], fair, fewer, noise)[0])

    def partial_r2_of(self, concept_sets: Sequence[tuple[int, ...]], *, noise: float = 0.0) -> np.ndarray:
        """Return ``partial_r2`` of many sets of concepts at once, none of them balanced; shape (len(concept_sets),)."""
        return self._shares(concept_sets, (), [], noise)

    def is_null(self, concepts: tuple[int, ...]) -> bool:
        """Return whether a proof says that the centred product of the concepts cannot be read at all.

        Inputs must be independent, and no neuron see all the concepts; or the layer has no
        interactions of that order: "identity" none, "square" none of three or more inputs, "relu"
        without bias on ``Signs`` none of three, five or more odd numbers (ReLU is its linear half plus
        an even function). False says that none of these proofs holds, not that anything can be read.
        """
        layer, order = self.layer, len(check_concepts(concepts, self.layer.m))
        if not layer.inputs.independent:
            return False
        odd = layer.activation == "relu" and isinstance(layer.inputs, Signs) and not np.any(layer.bias)
        return (
            null_certificate(layer.weights, concepts)
            or (layer.activation == "identity" and order >= 2)
            or (layer.activation == "square" and order >= 3)
            or (odd and order >= 3 and order % 2 == 1)
        )

    def _shares(
        self, concept_sets: Sequence[tuple[int, ...]], fair: tuple[int, ...], fewer: list, noise: float
    ) -> np.ndarray:
        layer = self.layer
        places = [check_concepts(concepts, layer.m) for concepts in listed(concept_sets, "concept_sets")]
        real_number(noise, "noise", low=0, high=np.inf, open_ends=False)
        if any(len(concepts) < 2 for concepts in places):
            raise InputError(f"concepts must name at least two inputs, got {in_one_line(concept_sets)}.")
        rates = layer.inputs.rates(balanced=fair)
        if layer.inputs.independent:
            return expanded_partial_r2(self._neurons(), rates, places, removed=fewer, noise=noise)
        X, probabilities = layer.inputs.enumerate(balanced=fair)
        T, also = (
            np.array([combine(X, concepts, "product", rates=rates) for concepts in sets]).reshape(-1, len(X)).T
            for sets in (places, fewer)
        )
        return partial_r2(layer.hidden(X), T, probabilities, np.hstack([X, also]), noise=noise)

    def _neurons(self) -> list:
        layer = self.layer
        bias = np.broadcast_to(layer.bias, layer.d)
        low = -1.0 if isinstance(layer.inputs, Signs) else 0.0
        neurons = []
        for row, constant in zip(layer.weights, bias, strict=True):
            seen = np.flatnonzero(row)
            neurons.append((seen, partial(_neuron, row[seen], constant, low, layer.activation)))
        return neurons


def _neuron(weights: np.ndarray, bias: float, low: float, activation: str, on: np.ndarray) -> np.ndarray:
    """Return what a neuron makes of inputs that are on (1) or off (``low``), shape (N,)."""
    return activate((low + (1 - low) * on) @ weights + bias, activation)


class LayerWorld(ABC):
    """A world that is one layer on bits: what its own parameters say, and the problems and truth of the layer."""

    @property
    @abstractmethod
    def layer(self) -> Layer:
        """The layer, the same one every time."""

    @property
    @abstractmethod
    def question(self) -> tuple[tuple[int, ...], str]:
        """The concepts, and what is made of them, where ``sample`` names none."""

    @property
    def truth(self) -> LayerTruth:
        """What a linear readout of the hidden layer can know, exactly."""
        return self.layer.truth

    def sample(
        self,
        n: int,
        rng: np.random.Generator,
        *,
        concepts: tuple[int, ...] | None = None,
        ask: str | None = None,
        balanced: bool = False,
        noise: float = 0.0,
    ) -> Problem:
        """Return a problem, as ``Layer.sample`` does; ``concepts`` and ``ask`` are those of ``question`` by default."""
        usual_concepts, usual_ask = self.question
        return self.layer.sample(
            n,
            rng,
            concepts=usual_concepts if concepts is None else concepts,
            ask=usual_ask if ask is None else ask,
            balanced=balanced,
            noise=noise,
        )
