"""Networks on Boolean inputs, trained: all weights, or the readout alone over a layer that stays as it was drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, final

import numpy as np

from controls.core.errors import InputError
from controls.core.rng import stream
from controls.core.validate import one_of, real_number, true_or_false, whole_number
from controls.ground_truth.bits import InputLaw, Sparse
from controls.ground_truth.networks import Network, Pair, random_network


@final
@dataclass(frozen=True)
class Descent:
    """How a network is trained: Adam on all inputs at once, its step falling to 0 along a half cosine.

    The loss is the mean of |output − target|^p over outputs and over the law of the inputs.

    Parameters
    ----------
    p : float, default 2.0
        At least 1. Large p care for the largest errors.
    equal_mass : bool, default False
        Whether ones, which are rare, are given the weight that makes theirs in all that of the zeros.
    steps : int, default 3000
    learning_rate : float, default 0.01
    dtype : {"float64", "float32"}, default "float32"
        What training computes in; the network that comes out is float64 in either case.
    device : str, default "cpu"
        A torch device.

    Notes
    -----
    Uses no random numbers: what comes out depends on the network that training starts from alone. On the
    CPU the bits are the same on every run. Time: O(steps N d (m + k)) for N distinct inputs, d neurons and
    k outputs; a few seconds for N = 1,024 and d = 200.

    Examples
    --------
    >>> from controls.ground_truth import Bernoulli
    >>> start = random_network([(0, 1)], 8, np.random.default_rng(0), inputs=Bernoulli(4))
    >>> trained = Descent(steps=400).train(start)
    >>> bool(start.layer.truth.partial_r2((0, 1)) < 0.9 < trained.layer.truth.partial_r2((0, 1)))
    True
    """

    p: float = 2.0
    equal_mass: bool = False
    steps: int = 3000
    learning_rate: float = 0.01
    dtype: str = "float32"
    device: str = "cpu"

    def __post_init__(self) -> None:
        real_number(self.p, "p", low=1, high=np.inf, open_ends=False)
        whole_number(self.steps, "steps", low=1)
        real_number(self.learning_rate, "learning_rate", low=0, high=np.inf)
        one_of(self.dtype, "dtype", ("float64", "float32"))

    def train(self, start: Network, *, frozen: bool = False) -> Network:
        """Return the network that training ends with, ``start`` being left as it is.

        Parameters
        ----------
        start : Network
            A ReLU network; its weights, biases, readout and offsets are where training begins.
        frozen : bool, default False
            Whether the layer stays as it is and the readout alone is trained.
        """
        if start.layer.activation != "relu":
            raise InputError(f"start must have a layer with activation 'relu', got {start.layer.activation!r}.")
        weights, bias, readout, offsets = self._descend(start, frozen)
        layer = start.layer if frozen else replace(start.layer, weights=weights, bias=bias)
        return replace(start, layer=layer, readout=readout, offsets=offsets)

    def _descend(self, start: Network, frozen: bool) -> list[np.ndarray]:
        import torch

        inputs, mass = start.layer.inputs.enumerate()
        kind = {"dtype": getattr(torch, self.dtype), "device": self.device}
        X, Y, mass = (torch.tensor(array, **kind) for array in (inputs, start.targets(inputs), self._mass(start)))
        layer = (start.layer.weights, np.broadcast_to(start.layer.bias, start.layer.d))
        parts = [torch.tensor(np.array(part), **kind) for part in (*layer, start.readout, start.offsets)]
        trained = parts[2:] if frozen else parts
        for part in trained:
            part.requires_grad_(True)
        optimizer = torch.optim.Adam(trained, lr=self.learning_rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.steps)
        fixed = _hidden(X, parts) if frozen else None
        for _ in range(self.steps):
            optimizer.zero_grad()
            hidden = _hidden(X, parts) if fixed is None else fixed
            errors = torch.addmm(parts[3], hidden, parts[2].T) - Y
            loss = (mass * (errors.square() if self.p == 2 else errors.abs().pow(self.p))).sum()
            loss.backward()
            optimizer.step()
            schedule.step()
        return [part.detach().cpu().double().numpy() for part in parts]

    def _mass(self, start: Network) -> np.ndarray:
        """Return the weight of each error (N, k), 1 in all."""
        inputs, probabilities = start.layer.inputs.enumerate()
        targets = start.targets(inputs)
        mass = np.broadcast_to(probabilities[:, None], targets.shape)
        if not self.equal_mass:
            return mass / mass.sum()
        ones = targets * mass
        zeros = mass - ones
        return ones / (2 * ones.sum()) + zeros / (2 * zeros.sum())


def _hidden(X: Any, parts: list[Any]) -> Any:
    import torch

    return torch.relu(torch.addmm(parts[1], X, parts[0].T))


@final
@dataclass(frozen=True)
class AllPairs:
    """The task of combining every pair of a few sparse inputs, for a trained network and its frozen twin.

    The twin has a first layer drawn again by the law that the trained one started from, which stays
    as it was drawn; its readout is trained just so. What the trained network does better was learned in
    its first layer.

    Parameters
    ----------
    d : int, default 64
        Neurons.
    m : int, default 12
        Number of inputs, of which at most ``s`` are on; all such inputs are equally likely.
    s : int, default 3
    ask : {"and", "xor", "or"}, default "and"
        What each output is, of its pair.
    descent : Descent
        By default p = 4, ones given equal mass, 3,000 steps.

    Examples
    --------
    >>> task = AllPairs(16, m=6, descent=Descent(p=4, equal_mass=True, steps=300))
    >>> trained, frozen = task.trained(seed=0), task.frozen(seed=0)
    >>> [round(float(abs(errors).max()), 1) for errors in trained.errors()]  # of zeros, and of ones
    [0.3, 0.2]
    >>> [round(float(abs(errors).max()), 1) for errors in frozen.errors()]
    [0.6, 0.4]
    """

    d: int = 64
    m: int = 12
    s: int = 3
    ask: str = "and"
    descent: Descent = Descent(p=4.0, equal_mass=True)

    @property
    def inputs(self) -> InputLaw:
        """The law of the inputs."""
        return Sparse(self.m, self.s, at_most=True)

    @property
    def pairs(self) -> Sequence[Pair]:
        """All pairs of inputs."""
        return list(combinations(range(self.m), 2))

    def start(self, seed: int, twin: bool = False) -> Network:
        """Return the network that training starts from, or the one that its twin starts from."""
        whole_number(seed, "seed", low=0)
        rng = stream(seed, "all pairs", "frozen" if true_or_false(twin, "twin") else "trained")
        return random_network(self.pairs, self.d, rng, inputs=self.inputs, ask=self.ask)

    def trained(self, seed: int) -> Network:
        """Return the network with all its weights trained."""
        return self.descent.train(self.start(seed))

    def frozen(self, seed: int) -> Network:
        """Return its twin: a first layer drawn anew and left so, and a trained readout."""
        return self.descent.train(self.start(seed, twin=True), frozen=True)
