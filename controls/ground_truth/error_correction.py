"""A layer that cleans inputs in superposition: exact where interference stays inside its bound."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, final

import numpy as np
from scipy.special import betaincc

from controls.core.errors import InputError
from controls.core.rng import stream
from controls.core.validate import real_number, whole_number
from controls.ground_truth.bits import Sparse
from controls.ground_truth.dictionaries import random_directions
from controls.ground_truth.shapes import shaped
from controls.ground_truth.superposed import SuperposedLayer, SuperposedWorld


@final
@dataclass(frozen=True)
class ErrorCorrection(SuperposedWorld):
    """One clipped neuron per input, ``ReLU(2z − ½) − ReLU(2z − 3/2)`` of what is read along the input's direction.

    Parameters
    ----------
    m, d0 : int
        Numbers of inputs, and of dimensions that hold them.
    s : int, default 3
        Number of active inputs.
    seed : int, default 0
        Of the directions.

    Notes
    -----
    What is read along a direction is its bit and interference. Where interference is at most ``bound``, ¼, the
    neuron is the bit exactly; outside, it is off by twice the excess, at most 1. A clipped neuron is two ReLUs.

    Examples
    --------
    >>> world = ErrorCorrection(m=200, d0=150)
    >>> X = world.layer.inputs.sample(50, np.random.default_rng(0))
    >>> inside = np.abs(world.interference(X)) <= world.bound
    >>> bool((world.corrected(X) == X)[inside].all()), round(float(inside.mean()), 2)
    (True, 0.92)
    """

    bound: ClassVar[float] = 0.25

    m: int
    d0: int
    s: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        whole_number(self.seed, "seed", low=0)
        whole_number(self.d0, "d0", low=2)
        if whole_number(self.s, "s", low=1) > whole_number(self.m, "m", low=1):
            raise InputError(f"s must be at most m = {self.m}, got {self.s}.")

    @cached_property
    def layer(self) -> SuperposedLayer:
        """The layer, whose neurons are the corrected bits; directions are drawn from the seed."""
        directions = random_directions(self.m, self.d0, stream(self.seed, "directions", self.m, self.d0))
        return SuperposedLayer(2 * directions, directions, -0.5, "clipped", inputs=Sparse(self.m, self.s))

    def interference(self, X: np.ndarray) -> np.ndarray:
        """Return what is read along each direction beside its own bit, shape (n, m)."""
        X = shaped(X, "X", ("n", self.m))
        return self.layer.embedded(X) @ self.layer.embedding.T - X

    def corrected(self, X: np.ndarray) -> np.ndarray:
        """Return the corrected bits, shape (n, m), where the bits are X (n, m)."""
        return self.layer.hidden(shaped(X, "X", ("n", self.m)))

    def share_outside(self, X: np.ndarray, bound: float = bound) -> np.ndarray:
        """Return how likely the interference with an input that is off is larger than a bound, shape (n,).

        Exact, over the directions of inputs that are off, which are uniform whatever the others are: with |a|
        the length of what is read and t² of the law Beta(½, (d0 − 1)/2), the chance that |a||t| is larger.
        A corrected bit is off by more than e, below 1, where interference is above ¼ + e/2.
        """
        real_number(bound, "bound", low=0, high=np.inf)
        squared = np.square(self.layer.embedded(shaped(X, "X", ("n", self.m)))).sum(axis=1)
        return betaincc(0.5, (self.d0 - 1) / 2, np.minimum(bound**2 / np.maximum(squared, 1e-300), 1.0))
