"""Layers whose answers are whole: hand-made ANDs, a quadratic layer with its budget, parities that cannot be read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from math import comb
from typing import final

import numpy as np

from controls.core.errors import InputError, InputTypeError
from controls.core.rng import stream
from controls.core.validate import in_one_line, real_number, whole_number
from controls.ground_truth.bits import Bernoulli, Signs, check_concepts
from controls.ground_truth.layers import Layer, LayerWorld


@final
@dataclass(frozen=True)
class TargetedAnd(LayerWorld):
    """A ReLU layer made by hand: each neuron is exactly the AND of one chosen set of inputs.

    Parameters
    ----------
    m : int
        Number of inputs.
    targets : tuple of tuple of int
        Sets of at least two inputs, such as ``((0, 1), (2, 3))``.
    copies : int, default 1
        Number of neurons per set.
    q : float, default 0.5
        Rate of the inputs, which are independent.

    Notes
    -----
    Partial R² is 1 for targets and exactly 0 for pairs in ``omitted``, which no neuron sees.

    Examples
    --------
    >>> world = TargetedAnd(6, ((0, 1), (2, 3)), q=0.2)
    >>> [float(round(share, 9)) for share in world.truth.partial_r2_of([(0, 1), (0, 2)])]
    [1.0, 0.0]
    >>> len(world.omitted), world.truth.is_null((0, 2))
    (13, True)
    """

    m: int
    targets: tuple[tuple[int, ...], ...]
    copies: int = 1
    q: float = 0.5

    def __post_init__(self) -> None:
        whole_number(self.m, "m", low=2)
        whole_number(self.copies, "copies", low=1)
        real_number(self.q, "q", low=0, high=1)
        if not isinstance(self.targets, (tuple, list)):
            raise InputTypeError(
                f"targets must be a tuple of sets of inputs, such as ((0, 1),), got {in_one_line(self.targets)}."
            )
        if not self.targets or any(len(check_concepts(target, self.m, "targets")) < 2 for target in self.targets):
            raise InputError(f"targets must hold sets of at least two inputs each, got {self.targets!r}.")

    @cached_property
    def layer(self) -> Layer:
        """The layer: the sum of a neuron's inputs, less all but one of their number."""
        weights = np.zeros((len(self.targets), self.m))
        for row, target in zip(weights, self.targets, strict=True):
            row[list(target)] = 1
        weights = np.repeat(weights, self.copies, axis=0)
        return Layer(weights, 1 - weights.sum(axis=1), inputs=Bernoulli(self.m, self.q))

    @property
    def question(self) -> tuple[tuple[int, ...], str]:
        """The AND of the first target."""
        return tuple(self.targets[0]), "and"

    @property
    def readoff(self) -> np.ndarray:
        """A readoff per target, shape (len(targets), d): the mean of its copies, which is its AND."""
        return np.repeat(np.eye(len(self.targets)), self.copies, axis=1) / self.copies

    @property
    def omitted(self) -> tuple[tuple[int, int], ...]:
        """The pairs of inputs that no neuron sees."""
        return tuple(pair for pair in combinations(range(self.m), 2) if self.truth.is_null(pair))


@final
@dataclass(frozen=True)
class QuadraticLayer(LayerWorld):
    """Neurons (w·x)² of Gaussian weights: interactions of two inputs share the width, of three or more there are none.

    Parameters
    ----------
    m, d : int
        Number of inputs and of neurons.
    q : float, default 0.5
        Rate of the inputs, which are independent.
    seed : int, default 0
        Seed of the weights.

    Notes
    -----
    Centred products of the C = m(m − 1)/2 pairs are orthogonal, so the partial R² of all pairs, none
    of them balanced, sum up to at most d in any layer; here to min(d, C) exactly.

    Examples
    --------
    >>> world = QuadraticLayer(m=10, d=18)
    >>> pairs = [(i, j) for i in range(10) for j in range(i)]
    >>> world.budget, round(float(world.truth.partial_r2_of(pairs).mean()), 9)
    (0.4, 0.4)
    """

    m: int
    d: int
    q: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        whole_number(self.m, "m", low=2)
        whole_number(self.d, "d", low=1)
        real_number(self.q, "q", low=0, high=1)
        whole_number(self.seed, "seed", low=0)

    @cached_property
    def layer(self) -> Layer:
        """The layer, drawn from the seed."""
        weights = stream(self.seed, "quadratic layer", self.m, self.d).standard_normal((self.d, self.m))
        return Layer(weights, activation="square", inputs=Bernoulli(self.m, self.q))

    @property
    def question(self) -> tuple[tuple[int, ...], str]:
        """The AND of the first two inputs."""
        return (0, 1), "and"

    @property
    def budget(self) -> float:
        """The mean partial R² over all pairs, exactly: min(d, C)/C."""
        return min(1.0, self.d / comb(self.m, 2))


@final
@dataclass(frozen=True)
class OddParity(LayerWorld):
    """Gaussian ReLU neurons without bias on inputs −1 and +1: parities of 3, 5, … inputs cannot be read at any width.

    Parameters
    ----------
    m, d : int
        Number of inputs, at least 3, and of neurons.
    seed : int, default 0
        Seed of the weights.

    Notes
    -----
    ReLU(z) is z/2 + |z|/2, a linear and an even function of the inputs, and a parity of an odd number
    of inputs is odd. Parities of 2, 4, … inputs can be read in part, the better the wider the layer.

    Examples
    --------
    >>> world = OddParity(m=8, d=32)
    >>> world.truth.is_null((0, 1, 2)), world.truth.partial_r2((0, 1, 2)) < 1e-20
    (True, True)
    >>> world.truth.partial_r2((0, 1, 2, 3)) > 0.05
    True
    """

    m: int
    d: int
    seed: int = 0

    def __post_init__(self) -> None:
        whole_number(self.m, "m", low=3)
        whole_number(self.d, "d", low=1)
        whole_number(self.seed, "seed", low=0)

    @cached_property
    def layer(self) -> Layer:
        """The layer, drawn from the seed."""
        weights = stream(self.seed, "odd parity", self.m, self.d).standard_normal((self.d, self.m))
        return Layer(weights, inputs=Signs(self.m))

    @property
    def question(self) -> tuple[tuple[int, ...], str]:
        """The parity of the first three inputs, which cannot be read."""
        return (0, 1, 2), "xor"
