"""The generic layer: standard normal weights, no bias, sparse inputs; AND and XOR are there in closed form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np

from controls.core.rng import stream
from controls.core.validate import one_of, whole_number
from controls.ground_truth.bits import Sparse, combine
from controls.ground_truth.layers import Layer, LayerWorld
from controls.ground_truth.minimax import Minimax, minimax
from controls.ground_truth.readoffs import readoff, readoff_law
from controls.ground_truth.superposed import pair_ends
from controls.ground_truth.u_and import ErrorLaw


@final
@dataclass(frozen=True)
class GaussianLayer(LayerWorld):
    """``ReLU(W x)`` with W standard normal: nothing was learned, and every AND and XOR can be read.

    Parameters
    ----------
    m, d : int
        Numbers of inputs and of neurons.
    s : int, default 3
        Number of active inputs, at least 2.
    at_most : bool, default False
        Whether fewer inputs may be active too.
    seed : int, default 0
        Of the weights.

    Examples
    --------
    >>> world = GaussianLayer(m=20, d=4000, s=2)
    >>> X = np.eye(20)[[0, 0, 2]] + np.eye(20)[[1, 3, 4]]  # both, one and none of inputs 0 and 1
    >>> world.read(X, [(0, 1)])[:, 0].round(1)
    array([ 1.1,  0.1, -0.1])
    >>> float(world.error_law("10").sd(world.d).round(2))
    0.07
    """

    m: int
    d: int
    s: int = 3
    at_most: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        whole_number(self.d, "d", low=1)
        whole_number(self.s, "s", low=2)

    @cached_property
    def layer(self) -> Layer:
        """The layer, its weights drawn from the seed."""
        weights = stream(self.seed, "GaussianLayer", self.m, self.d).standard_normal((self.d, self.m))
        return Layer(weights, inputs=Sparse(self.m, self.s, self.at_most))

    @property
    def question(self) -> tuple[tuple[int, ...], str]:
        """The AND of the first two inputs."""
        return (0, 1), "and"

    def readoff(self, pairs: Sequence[tuple[int, int]], *, ask: str = "and", method: str = "sign") -> np.ndarray:
        """Return the closed-form readoff of each pair, shape (P, d); see `sign_readoff` and `stein_readoff`."""
        first, second = pair_ends(pairs, self.m)
        W = self.layer.weights.T
        return readoff(W[first], W[second], self.s, ask=ask, method=method)

    def read(
        self, X: np.ndarray, pairs: Sequence[tuple[int, int]], *, ask: str = "and", method: str = "sign"
    ) -> np.ndarray:
        """Return what the readoffs say of inputs (n, m), shape (n, P)."""
        return self.layer.hidden(X) @ self.readoff(pairs, ask=ask, method=method).T

    def error_law(self, case: str, *, ask: str = "and", method: str = "sign", s: int | None = None) -> ErrorLaw:
        """Return the law of what they err by, over seeds, at s active inputs (default: the world's own).

        Its standard deviation is ``law.sd(d)``.
        """
        return readoff_law(case, self.s if s is None else s, ask=ask, method=method, tuned=self.s)

    def ceiling(self, pair: tuple[int, int], *, ask: str = "and") -> Minimax:
        """Return the affine readoff of the layer whose worst error over all inputs is smallest.

        Enumerates the inputs: 65,536 at most, and some hundreds if it is to take less than a second.
        """
        X, _ = self.layer.inputs.enumerate()
        return minimax(self.layer.hidden(X), combine(X, pair, one_of(ask, "ask", ("and", "xor"))))
