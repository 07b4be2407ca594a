"""ANDs of inputs in superposition, by neurons that count: of every pair, or of chosen ones."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np

from controls.core.errors import InputError
from controls.core.rng import stream
from controls.core.validate import one_of, real_number, whole_number
from controls.ground_truth.bits import Sparse
from controls.ground_truth.dictionaries import random_directions
from controls.ground_truth.interference import GATES, counting_bias, interference_sd
from controls.ground_truth.superposed import SuperposedLayer, SuperposedWorld, pair_ends

_ASKS = ("and", "xor")


class CountingWorld(SuperposedWorld):
    """Neurons that count some of the inputs, by the sum of their directions, and say where there are two."""

    m: int
    d0: int
    d: int
    s: int
    gate: str
    seed: int

    def __post_init__(self) -> None:
        """Refuse sizes that cannot be."""
        whole_number(self.m, "m", low=3)
        whole_number(self.d, "d", low=1)
        whole_number(self.seed, "seed", low=0)
        one_of(self.gate, "gate", tuple(GATES))
        if whole_number(self.s, "s", low=2) > self.m:
            raise InputError(f"s must be at most m = {self.m}, got {self.s}.")

    @property
    @abstractmethod
    def receptive(self) -> np.ndarray:
        """1 where a neuron counts an input, 0 elsewhere; shape (d, m)."""

    @abstractmethod
    def neurons(self, pairs: Sequence[tuple[int, int]]) -> np.ndarray:
        """Return which neurons each pair's readoff takes the mean of, boolean, shape (P, d)."""

    @cached_property
    def layer(self) -> SuperposedLayer:
        """The layer; directions of the inputs are drawn from the seed."""
        gate = GATES[self.gate]
        directions = random_directions(self.m, self.d0, stream(self.seed, "directions", self.m, self.d0))
        weights = gate.scale * self.receptive @ directions
        return SuperposedLayer(weights, directions, gate.bias, gate.activation, inputs=Sparse(self.m, self.s))

    def readoff(self, pairs: Sequence[tuple[int, int]], *, ask: str = "and") -> np.ndarray:
        """Return a readoff per pair, shape (P, d0 + d), on what the layer reads and its neurons side by side.

        "and" is the mean of the pair's neurons; "xor" is what is read along both directions, less twice that.
        Rows of pairs that have no neurons are NaN.
        """
        one_of(ask, "ask", _ASKS)
        first, second = pair_ends(pairs, self.m)
        members = self.neurons(pairs)
        count = members.sum(axis=1, keepdims=True)
        mean = np.where(count > 0, members / np.maximum(count, 1), np.nan)
        directions = self.layer.embedding[first] + self.layer.embedding[second]
        return np.hstack([0 * directions, mean] if ask == "and" else [directions, -2 * mean])

    def read(self, X: np.ndarray, pairs: Sequence[tuple[int, int]], *, ask: str = "and") -> np.ndarray:
        """Return what the readoffs say where the bits are X (n, m), shape (n, P); NaN for pairs without neurons."""
        return np.hstack([self.layer.embedded(X), self.layer.hidden(X)]) @ self.readoff(pairs, ask=ask).T

    def interference_sd(self, X: np.ndarray) -> np.ndarray:
        """Return the standard deviation of interference in each neuron's count; see `interference_sd`."""
        return interference_sd(self.receptive, X, self.d0)

    def bias(self, case: str, pairs: Sequence[tuple[int, int]], *, ask: str = "and") -> np.ndarray:
        """Return the expected error of each pair's readoff in a case, over directions and inputs, shape (P,).

        See `counting_bias`; what a pair's neurons count is taken as it is. An XOR errs by −2 times the AND.
        """
        one_of(ask, "ask", _ASKS)
        counts = self.receptive.sum(axis=1)
        sizes, which = np.unique(counts, return_inverse=True)
        members = self.neurons(pairs)
        used = members.any(axis=0)
        errors = np.zeros(len(sizes))
        wanted = np.unique(which[used])
        errors[wanted] = counting_bias(case, sizes[wanted], m=self.m, s=self.s, d0=self.d0, gate=self.gate)
        n = members.sum(axis=1)
        means = np.where(n > 0, members @ errors[which] / np.maximum(n, 1), np.nan)
        return means if ask == "and" else -2 * means


@final
@dataclass(frozen=True)
class SuperposedAnd(CountingWorld):
    """Universal AND of inputs in superposition: each neuron counts inputs at random, at density p.

    Parameters
    ----------
    m, d0, d : int
        Numbers of inputs, of dimensions that hold them, and of neurons.
    s : int, default 2
        Number of active inputs, at least 2.
    p : float, default 0.04
        Density of what a neuron counts.
    gate : {"relu", "margin", "clipped"}, default "relu"
        ReLU(z − 1), ReLU(2z − 3) or ReLU(2z − 5/2) − ReLU(2z − 7/2) of a count z.
    seed : int, default 0

    Notes
    -----
    Interference in a count has variance σ² of about s m p / d0. With "relu" it becomes a bias where one input
    of the pair is on, about σ/√(2π) + (s − 1)p; a margin takes most of it away and makes the ones noisier.

    Examples
    --------
    >>> world = SuperposedAnd(m=64, d0=48, d=3000, p=0.1, gate="clipped")
    >>> X = np.zeros((2, 64))
    >>> X[0, [0, 1]] = X[1, [0, 5]] = 1
    >>> world.read(X, [(0, 1)])[:, 0].round(1)
    array([0.9, 0.2])
    """

    m: int
    d0: int
    d: int
    s: int = 2
    p: float = 0.04
    gate: str = "relu"
    seed: int = 0

    @cached_property
    def receptive(self) -> np.ndarray:
        """1 where a neuron counts an input, 0 elsewhere; shape (d, m)."""
        p = real_number(self.p, "p", low=0, high=1)
        return (stream(self.seed, "superposed AND", self.m, self.d).random((self.d, self.m)) < p).astype(np.float64)

    def neurons(self, pairs: Sequence[tuple[int, int]]) -> np.ndarray:
        """Return which neurons count both of a pair, boolean, shape (P, d)."""
        first, second = pair_ends(pairs, self.m)
        counted = self.receptive.T > 0
        return counted[first] & counted[second]


@final
@dataclass(frozen=True)
class TargetedSuperposedAnd(CountingWorld):
    """ANDs of chosen pairs of inputs in superposition, each at some random neurons of its own choice.

    Parameters
    ----------
    m, d0, d : int
        Numbers of inputs, of dimensions that hold them, and of neurons.
    targets : int or tuple of tuple of int
        The pairs, or how many to draw from the seed.
    copies : int, default 16
        Neurons per pair; they count what all their pairs need.
    s : int, default 2
        Number of active inputs, at least 2.
    gate : {"relu", "margin", "clipped"}, default "relu"
        As in `SuperposedAnd`.
    seed : int, default 0

    Notes
    -----
    A neuron counts about 2 |targets| copies / d inputs, its load; interference has variance s · load / d0.

    Examples
    --------
    >>> world = TargetedSuperposedAnd(m=64, d0=48, d=400, targets=50, copies=8, gate="clipped")
    >>> len(world.pairs), round(world.load, 1)
    (50, 2.0)
    >>> np.isnan(world.read(np.eye(64)[:1] + np.eye(64)[1:2], [world.pairs[0], (0, 1)])).tolist()
    [[False, True]]
    """

    m: int
    d0: int
    d: int
    targets: int | tuple[tuple[int, int], ...]
    copies: int = 16
    s: int = 2
    gate: str = "relu"
    seed: int = 0

    @cached_property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """The pairs that are computed."""
        if isinstance(self.targets, tuple):
            first, second = pair_ends(self.targets, self.m)
            return tuple(zip(np.minimum(first, second).tolist(), np.maximum(first, second).tolist(), strict=True))
        first, second = np.triu_indices(self.m, 1)
        if whole_number(self.targets, "targets", low=1) > len(first):
            raise InputError(f"targets must be at most {len(first)}, the pairs of {self.m} inputs, got {self.targets}.")
        kept = stream(self.seed, "targets", self.m).choice(len(first), self.targets, replace=False)
        return tuple(zip(first[kept].tolist(), second[kept].tolist(), strict=True))

    @cached_property
    def members(self) -> np.ndarray:
        """The neurons of each pair, shape (|targets|, copies)."""
        if whole_number(self.copies, "copies", low=1) > self.d:
            raise InputError(f"copies must be at most d = {self.d}, got {self.copies}.")
        rng = stream(self.seed, "targeted neurons", self.d)
        return np.stack([rng.choice(self.d, self.copies, replace=False) for _ in self.pairs])

    @cached_property
    def receptive(self) -> np.ndarray:
        """1 where a neuron counts an input, 0 elsewhere; shape (d, m)."""
        counted = np.zeros((self.d, self.m))
        for pair, members in zip(self.pairs, self.members, strict=True):
            counted[members[:, None], pair] = 1
        return counted

    @property
    def load(self) -> float:
        """How many inputs a neuron counts on average."""
        return float(self.receptive.sum(axis=1).mean())

    def neurons(self, pairs: Sequence[tuple[int, int]]) -> np.ndarray:
        """Return the neurons chosen for each pair, boolean, shape (P, d); none for pairs that are not targets."""
        first, second = pair_ends(pairs, self.m)
        place = {pair: number for number, pair in enumerate(self.pairs)}
        chosen = np.zeros((len(first), self.d), dtype=bool)
        for row, (i, j) in zip(chosen, zip(first.tolist(), second.tolist(), strict=True), strict=True):
            number = place.get((min(i, j), max(i, j)))
            if number is not None:
                row[self.members[number]] = True
        return chosen
