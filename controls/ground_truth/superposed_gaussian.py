"""Standard normal weights on inputs in superposition: readoffs along products of projections, with their exact law."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import pi, sqrt
from typing import final

import numpy as np

from controls.core.errors import InputError
from controls.core.rng import stream
from controls.core.validate import one_of, whole_number
from controls.ground_truth.bits import Sparse
from controls.ground_truth.dictionaries import random_directions
from controls.ground_truth.shapes import rows_of
from controls.ground_truth.superposed import SuperposedLayer, SuperposedWorld, pair_ends

_ASKS = ("and", "xor")


@final
@dataclass(frozen=True)
class SuperposedGaussian(SuperposedWorld):
    """``ReLU(W a)`` with W standard normal, of inputs in superposition: only how far directions overlap limits m.

    Parameters
    ----------
    m, d0, d : int
        Numbers of inputs, of dimensions that hold them, and of neurons.
    s : int, default 2
        Number of active inputs, at least 2.
    seed : int, default 0
        Of the directions, and of the weights.

    Notes
    -----
    For directions u and v, ``E[(w·u)(w·v) ReLU(w·a)] = [(u·v)|a| + (u·a)(v·a)/|a|] / √(2π)``. So an AND is read
    along ``√(2πs) (w·u)(w·v)/d``, less ``s u·v``, and errs by about √(s/d0), from overlaps of directions, and by
    √π s/√d, from the weights.

    Examples
    --------
    >>> world = SuperposedGaussian(m=200, d0=100, d=5000)
    >>> X = np.zeros((3, 200))
    >>> X[0, [0, 1]] = X[1, [0, 5]] = X[2, [5, 6]] = 1
    >>> world.read(X, [(0, 1)])[:, 0].round(1)
    array([ 0.9, -0.2, -0.1])
    """

    m: int
    d0: int
    d: int
    s: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        whole_number(self.m, "m", low=2)
        whole_number(self.d, "d", low=1)
        whole_number(self.seed, "seed", low=0)
        if whole_number(self.s, "s", low=2) > self.m:
            raise InputError(f"s must be at most m = {self.m}, got {self.s}.")

    @cached_property
    def layer(self) -> SuperposedLayer:
        """The layer; directions and weights are drawn from the seed."""
        directions = random_directions(self.m, self.d0, stream(self.seed, "directions", self.m, self.d0))
        weights = stream(self.seed, "superposed Gaussian", self.d0, self.d).standard_normal((self.d, self.d0))
        return SuperposedLayer(weights, directions, inputs=Sparse(self.m, self.s))

    def readoff(self, pairs: Sequence[tuple[int, int]], *, ask: str = "and") -> np.ndarray:
        """Return a readoff per pair, shape (P, d + 1), on the neurons and a column of ones beside them."""
        first, second = pair_ends(pairs, self.m)
        U, V = (self.layer.embedding[ends] @ self.layer.weights.T for ends in (first, second))
        overlap = (self.layer.embedding[first] * self.layer.embedding[second]).sum(axis=1)
        both = np.column_stack([sqrt(2 * pi * self.s) * U * V / self.d, -self.s * overlap])
        if one_of(ask, "ask", _ASKS) == "and":
            return both
        return np.column_stack([2 * (U + V) / self.d, np.zeros(len(first))]) - 2 * both

    def read(self, X: np.ndarray, pairs: Sequence[tuple[int, int]], *, ask: str = "and") -> np.ndarray:
        """Return what the readoffs say where the bits are X (n, m), shape (n, P)."""
        return np.column_stack([self.layer.hidden(X), np.ones(len(X))]) @ self.readoff(pairs, ask=ask).T

    def law(
        self, X: np.ndarray, pairs: Sequence[tuple[int, int]], *, ask: str = "and"
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and standard deviation, over draws of the weights, of what ``read`` returns.

        Parameters
        ----------
        X : array of shape (n, m)
            Bits, at least one of them active in each row.
        pairs : sequence of P pairs
        ask : {"and", "xor"}, default "and"

        Returns
        -------
        mean, sd : array of shape (n, P)
            Exact, for the directions as they are. What the mean is off by does not shrink with the width.
        """
        F = self.layer.embedding
        first, second = pair_ends(pairs, self.m)
        A = rows_of(X, "X", self.m) @ F
        length = np.linalg.norm(A, axis=1)[:, None]
        along_u, along_v = A @ F[first].T / length, A @ F[second].T / length
        overlap = (F[first] * F[second]).sum(axis=1)
        product, square = _product_moments(along_u, along_v, overlap)
        gain = sqrt(2 * pi * self.s)
        mean, second_moment = gain * length * product, (gain * length) ** 2 * square
        if one_of(ask, "ask", _ASKS) == "xor":
            total = along_u + along_v
            linear, mixed = _linear_moments(along_u, along_v, overlap)
            mean = length * total - 2 * mean
            second_moment = 4 * length**2 * (linear - 2 * gain * mixed) + 4 * second_moment
        constant = self.s * overlap * (-1 if ask == "and" else 2)
        return mean + constant, np.sqrt((second_moment - mean**2) / self.d)


def _product_moments(a: np.ndarray, b: np.ndarray, overlap: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return E[UV Z⁺] and E[(UV Z⁺)²] for standard normal U, V, Z of correlations UZ = a, VZ = b, UV = overlap."""
    first = (overlap + a * b) / sqrt(2 * pi)
    second = 1 + 2 * overlap**2 + 2 * a**2 + 2 * b**2 + 8 * overlap * a * b
    return first, second / 2


def _linear_moments(a: np.ndarray, b: np.ndarray, overlap: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return E[((U + V) Z⁺)²] and E[(U + V) UV (Z⁺)²] for the same U, V and Z."""
    total = a + b
    square = 1 + overlap + total**2
    mixed = sqrt(2 / pi) * total * (a * b + 1 + 2 * overlap)
    return square, mixed
