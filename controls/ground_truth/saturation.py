"""Few types and a wide layer: random labels of types become readable, and selectivity over them goes to 0."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np

from controls.core.errors import InputError
from controls.core.problem import Problem
from controls.core.rng import stream
from controls.core.validate import whole_number
from controls.ground_truth.bits import Bernoulli, check_concepts, combine
from controls.ground_truth.layers import Layer
from controls.ground_truth.population import partial_r2
from controls.ground_truth.shapes import shaped


@final
@dataclass(frozen=True)
class RandomTypes:
    """A random biased ReLU layer on all 2^m inputs, each of which is a type, such as a word.

    Parameters
    ----------
    m : int, default 8
        Number of inputs, at most 16; N = 2^m types, equally likely.
    d : int, default 64
        Number of neurons.
    seed : int, default 0
        Seed of weights and biases, standard normal both.

    Notes
    -----
    Labels drawn at random for each type (a control task) have expected R² r/(N − 1) in a layer of
    rank r, whatever the layer computes: the mean of a random direction's share in r out of N − 1
    dimensions. So the selectivity of a concept that is read perfectly is at most 1 − r/(N − 1),
    and 0 once the layer tells all types apart.

    Examples
    --------
    >>> for d in (16, 64, 128):
    ...     world = RandomTypes(d=d)
    ...     print(world.rank, round(world.control_r2, 3), round(world.selectivity((0, 1)), 2))
    16 0.063 0.65
    63 0.247 0.69
    124 0.486 0.5
    """

    m: int = 8
    d: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        if whole_number(self.m, "m", low=2) > 16:
            raise InputError(f"m must be at most 16, as all 2^m types are enumerated, got {self.m}.")
        whole_number(self.d, "d", low=1)
        whole_number(self.seed, "seed", low=0)

    @cached_property
    def layer(self) -> Layer:
        """The layer, drawn from the seed."""
        rng = stream(self.seed, "random types", self.m, self.d)
        weights, bias = rng.standard_normal((self.d, self.m)), rng.standard_normal(self.d)
        return Layer(weights, bias, inputs=Bernoulli(self.m))

    @property
    def n_types(self) -> int:
        """Number of types N."""
        return 1 << self.m

    @cached_property
    def rank(self) -> int:
        """Rank of the layer over types, the constant taken off."""
        H = self.layer.hidden(self.layer.inputs.enumerate()[0])
        return int(np.linalg.matrix_rank(H - H.mean(axis=0)))

    @property
    def control_r2(self) -> float:
        """Expected R² of labels that are random for each type: rank/(N − 1)."""
        return self.rank / (self.n_types - 1)

    def r2(self, labels: np.ndarray) -> np.ndarray:
        """Return the population R² of labels of types, shape (N,) or (N, k), in the order of ``inputs.enumerate()``."""
        X, probabilities = self.layer.inputs.enumerate()
        columns = shaped(labels, "labels", (len(X),) if np.ndim(labels) == 1 else (len(X), "k"))
        return partial_r2(self.layer.hidden(X), columns, probabilities)

    def selectivity(self, concepts: Sequence[int], *, ask: str = "and") -> float:
        """Return the population R² of what is made of the concepts, less that of random labels of types."""
        X, _ = self.layer.inputs.enumerate()
        return float(self.r2(combine(X, check_concepts(concepts, self.m), ask))[0]) - self.control_r2

    def sample(
        self, n: int, rng: np.random.Generator, *, concepts: tuple[int, ...] = (0, 1), ask: str = "and"
    ) -> Problem:
        """Return a problem as ``Layer.sample`` does, with one group "type": a number for each distinct input."""
        X = self.layer.inputs.sample(n, rng)
        types = X.astype(np.int64) @ (1 << np.arange(self.m)[::-1])
        return self.layer.problem(X, combine(X, concepts, ask), {"type": types})
