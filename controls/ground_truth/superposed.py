"""A hidden layer that reads its inputs in superposition: more inputs than dimensions, a direction for each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, final

import numpy as np

from controls.core.errors import InputError, InputTypeError
from controls.core.problem import Problem, Source
from controls.core.validate import as_activations
from controls.ground_truth.bits import InputLaw, check_concepts, combine
from controls.ground_truth.layers import Layer, LayerTruth, activate
from controls.ground_truth.shapes import listed, numbers, rows_of

if TYPE_CHECKING:
    import torch


@final
@dataclass(frozen=True, eq=False)
class SuperposedLayer:
    """One hidden layer, ``activation(a @ weights.T + bias)``, on inputs ``a = x @ embedding`` in superposition.

    Parameters
    ----------
    weights : array of shape (d, d0)
        A row per neuron.
    embedding : array of shape (m, d0)
        A direction per input.
    bias : float or array of shape (d,), default 0.0
    activation : {"relu", "clipped", "square", "identity"}, default "relu"
        As in `Layer`.
    inputs : InputLaw
        The law of the m bits.

    Notes
    -----
    As a function of the bits it is the `Layer` with weights ``weights @ embedding.T``, which knows the truth.

    Examples
    --------
    >>> from controls.ground_truth import Sparse, random_directions
    >>> rng = np.random.default_rng(0)
    >>> world = SuperposedLayer(rng.standard_normal((20, 6)), random_directions(10, 6, rng), inputs=Sparse(10, 2))
    >>> world.sample(100, rng)
    Problem(n=100, d=20, labels='binary', groups=['x0', 'x1'], unit=None (rows: 100 units))
    >>> 0 < world.truth.partial_r2((0, 1)) < 1
    True
    """

    weights: np.ndarray
    embedding: np.ndarray
    bias: np.ndarray | float = 0.0
    activation: str = "relu"
    inputs: InputLaw = field(kw_only=True)

    def __post_init__(self) -> None:
        for name in ("weights", "embedding"):
            object.__setattr__(self, name, as_activations(numbers(getattr(self, name), name), name))
        if not isinstance(self.inputs, InputLaw):
            raise InputTypeError(f"inputs must be Bernoulli, Sparse or Signs, got {type(self.inputs).__name__}.")
        if self.weights.shape[1] != self.embedding.shape[1]:
            raise InputError(
                f"weights and embedding must have as many columns, got {self.weights.shape} and "
                f"{self.embedding.shape}; rows of the one are neurons, of the other inputs."
            )
        if len(self.embedding) != self.inputs.m:
            raise InputError(f"embedding must have one row per input ({self.inputs.m}), got {self.embedding.shape}.")

    @cached_property
    def of_bits(self) -> Layer:
        """The same layer as a function of the bits."""
        return Layer(self.weights @ self.embedding.T, self.bias, self.activation, inputs=self.inputs)

    @property
    def truth(self) -> LayerTruth:
        """What a linear readout of the hidden layer can know of the bits, exactly."""
        return self.of_bits.truth

    def embedded(self, X: np.ndarray) -> np.ndarray:
        """Return what the layer reads, shape (n, d0), where the bits are X (n, m)."""
        return rows_of(X, "X", len(self.embedding)) @ self.embedding

    def hidden(self, X: np.ndarray) -> np.ndarray:
        """Return the hidden layer (n, d) where the bits are X (n, m)."""
        return activate(self.embedded(X) @ self.weights.T + self.bias, self.activation)

    def module(self) -> torch.nn.Module:
        """Return a torch module that reads the embedded inputs (n, d0), in float64."""
        from controls.ground_truth.modules import BitLayer

        bias = self.of_bits.bias
        unbiased = np.ndim(bias) == 0 and bias == 0
        return BitLayer(self.weights, None if unbiased else np.broadcast_to(bias, len(self.weights)), self.activation)

    def sample(
        self,
        n: int,
        rng: np.random.Generator,
        *,
        concepts: tuple[int, ...] = (0, 1),
        ask: str = "and",
    ) -> Problem:
        """Return a problem: the hidden layer of n inputs, and labels made of some of the bits.

        Site "hidden" of three, the others being "input" (what the layer reads) and "bits"; a group "x3" for
        concept 3; and a source, the torch module on the embedded inputs. Labels are those of `combine`.
        """
        from controls.ground_truth.modules import hidden_layer

        places = check_concepts(concepts, self.inputs.m)
        X = self.inputs.sample(n, rng)
        read = self.embedded(X)
        return Problem(
            {"bits": X, "input": read, "hidden": self.hidden(X)},
            combine(X, places, ask, rates=self.inputs.rates()),
            groups={f"x{place}": (X[:, place] > 0).astype(np.int64) for place in places},
            source=Source(self.module(), read, hidden_layer),
        ).at("hidden")


class SuperposedWorld(ABC):
    """A world that is one layer on inputs in superposition: problems and truth are the layer's."""

    @property
    @abstractmethod
    def layer(self) -> SuperposedLayer:
        """The layer, the same one every time."""

    @property
    def truth(self) -> LayerTruth:
        """What a linear readout of the hidden layer can know of the bits, exactly."""
        return self.layer.truth

    def sample(
        self, n: int, rng: np.random.Generator, *, concepts: tuple[int, ...] = (0, 1), ask: str = "and"
    ) -> Problem:
        """Return a problem, as `SuperposedLayer.sample` does."""
        return self.layer.sample(n, rng, concepts=concepts, ask=ask)


def pair_ends(pairs: Sequence[tuple[int, int]], m: int) -> tuple[np.ndarray, np.ndarray]:
    """Return first and second positions of pairs of different inputs, each of shape (P,)."""
    for pair in listed(pairs, "pairs"):
        if len(check_concepts(pair, m, "pairs")) != 2:
            raise InputError(f"pairs must hold two positions each, got {pair!r}.")
    ends = np.asarray(pairs, dtype=np.int64).reshape(-1, 2)
    return ends[:, 0], ends[:, 1]
