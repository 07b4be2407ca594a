"""Many small networks inside one stack of layers, of which few are active at a time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, final

import numpy as np

from controls.core.errors import InputError
from controls.core.problem import Problem, Source
from controls.core.rng import stream
from controls.core.validate import whole_number
from controls.ground_truth.bits import Sparse
from controls.ground_truth.shapes import shaped

if TYPE_CHECKING:
    import torch

_MOST_OUTCOMES = 1 << 16


@final
@dataclass(frozen=True)
class CircuitsInSuperposition:
    """Small ReLU networks, each held by neurons of its own choice in layers that all of them share.

    Every neuron of every circuit is copied to ``copies`` neurons drawn at random in each layer, and read back as
    their mean. Where two active circuits share a neuron of a layer, they interfere.

    Parameters
    ----------
    n_circuits, active : int
        Number of circuits, and of those that are active in a row.
    d : int
        Width of the layers.
    copies : int, default 8
        Neurons of a layer per neuron of a circuit; ``copies · width`` is at most d.
    width : int, default 3
        Neurons of a circuit in each of its layers, and its inputs.
    layers : int, default 1
        Number of layers.
    seed : int, default 0
        Of the circuits' weights, and of where they are put.

    Notes
    -----
    A circuit is ``ReLU(W_l …ReLU(W_1 x))`` of ``width`` bits, without biases: an inactive circuit has zeros for
    inputs and for outputs. After one layer the law of interference is exact (`first_layer_law`). After more it is
    not known here: what inactive circuits pick up is passed on, and is to be measured (`errors`).

    References
    ----------
    Vaintrob, Mendel and Hänni (2024), Toward a mathematical framework for computation in superposition.

    Examples
    --------
    >>> world = CircuitsInSuperposition(n_circuits=40, active=2, d=400)
    >>> world.load  # neurons of circuits per neuron of a layer
    2.4
    >>> bits = world.inputs(100, np.random.default_rng(0))
    >>> bits.shape, world.outputs(bits).shape
    ((100, 40, 3), (100, 40, 3))
    >>> alone = world.inputs(100, np.random.default_rng(0)) * (np.arange(40) == 7)[:, None]
    >>> bool(np.abs(world.errors(alone)[:, 7]).max() < 1e-12)  # nothing else is active
    True
    """

    n_circuits: int
    active: int
    d: int
    copies: int = 8
    width: int = 3
    layers: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("n_circuits", "active", "d", "copies", "width", "layers"):
            whole_number(getattr(self, name), name, low=1)
        whole_number(self.seed, "seed", low=0)
        if self.active > self.n_circuits:
            raise InputError(f"active must be at most n_circuits = {self.n_circuits}, got {self.active}.")
        if self.copies * self.width > self.d:
            raise InputError(
                f"copies times width must be at most d = {self.d}, got {self.copies} times {self.width}: neurons of "
                "one circuit do not share neurons of a layer."
            )

    @property
    def load(self) -> float:
        """How many neurons of circuits a neuron of a layer holds, on average."""
        return self.n_circuits * self.width * self.copies / self.d

    @cached_property
    def small_weights(self) -> np.ndarray:
        """The circuits' weights, shape (layers, n_circuits, width, width): normal, so that activity is kept."""
        shape = (self.layers, self.n_circuits, self.width, self.width)
        return stream(self.seed, "circuits", *shape).standard_normal(shape) * np.sqrt(2 / self.width)

    @cached_property
    def places(self) -> np.ndarray:
        """Which neurons of a layer hold each neuron of a circuit, shape (layers, n_circuits, width, copies)."""
        rng = stream(self.seed, "places", self.d, self.copies)
        drawn = [
            rng.choice(self.d, self.width * self.copies, replace=False) for _ in range(self.layers * self.n_circuits)
        ]
        return np.array(drawn).reshape(self.layers, self.n_circuits, self.width, self.copies)

    @cached_property
    def weights(self) -> tuple[np.ndarray, ...]:
        """The layers' weights: (d, n_circuits · width) for the first, which reads bits, and (d, d) for the others."""
        return tuple(self._weights(layer) for layer in range(self.layers))

    def _weights(self, layer: int) -> np.ndarray:
        small = np.zeros((self.n_circuits, self.width, self.n_circuits, self.width))
        each = np.arange(self.n_circuits)
        small[each, :, each] = self.small_weights[layer]
        put = self._held(layer) @ small.reshape(self.n_circuits * self.width, -1)
        return put if layer == 0 else put @ self._held(layer - 1).T / self.copies

    def _held(self, layer: int) -> np.ndarray:
        """Return 1 where a neuron of the layer holds a neuron of a circuit, shape (d, n_circuits · width)."""
        held = np.zeros((self.d, self.n_circuits * self.width))
        places = self.places[layer].reshape(-1, self.copies)
        held[places, np.arange(len(places))[:, None]] = 1
        return held

    def inputs(self, n: int, rng: np.random.Generator, *, circuit: int | None = None) -> np.ndarray:
        """Return bits of n rows, shape (n, n_circuits, width): zero but for active circuits, whose bits are fair.

        A ``circuit`` that is named is active in every row.
        """
        chosen = Sparse(self.n_circuits, self.active).sample(n, rng)
        if circuit is not None:
            self._check(circuit)
            missed = np.flatnonzero(chosen[:, circuit] == 0)
            swapped = np.array([rng.choice(np.flatnonzero(chosen[row])) for row in missed], dtype=np.int64)
            chosen[missed, swapped], chosen[missed, circuit] = 0, 1
        return chosen[:, :, None] * rng.integers(0, 2, (n, self.n_circuits, self.width))

    def outputs(self, bits: np.ndarray) -> np.ndarray:
        """Return what the circuits give by themselves, shape (n, n_circuits, width)."""
        values = self._bits(bits)
        for weights in self.small_weights:
            values = np.maximum(np.einsum("nci,cji->ncj", values, weights), 0.0)
        return values

    def hidden(self, bits: np.ndarray) -> list[np.ndarray]:
        """Return the layers, each of shape (n, d)."""
        given = self._bits(bits)
        values, found = given.reshape(len(given), -1), []
        for weights in self.weights:
            values = np.maximum(values @ weights.T, 0.0)
            found.append(values)
        return found

    def readoff(self, circuit: int) -> np.ndarray:
        """Return the readoff of a circuit's outputs from the last layer, shape (width, d): means of its neurons."""
        self._check(circuit)
        weights = np.zeros((self.width, self.d))
        weights[np.arange(self.width)[:, None], self.places[-1, circuit]] = 1 / self.copies
        return weights

    def read(self, bits: np.ndarray) -> np.ndarray:
        """Return what the readoffs of all circuits say, shape (n, n_circuits, width)."""
        return (self.hidden(bits)[-1] @ self._held(self.layers - 1) / self.copies).reshape(self._bits(bits).shape)

    def errors(self, bits: np.ndarray) -> np.ndarray:
        """Return what the readoffs err by, shape (n, n_circuits, width)."""
        return self.read(bits) - self.outputs(bits)

    def first_layer_law(self, bits: np.ndarray, circuit: int) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and standard deviation, over places, of what a circuit's readoffs err by after one layer.

        Parameters
        ----------
        bits : array of shape (n_circuits, width)
            One row of inputs; at most 65,536 outcomes are summed over, ``(width + 1)^(2 · others)`` for so many
            other circuits that are active.
        circuit : int

        Returns
        -------
        mean, sd : array of shape (width,)
            Exact, for the circuits' weights as they are.
        """
        self._check(circuit)
        row = shaped(bits, "bits", (self.n_circuits, self.width))
        before = np.einsum("ci,cji->cj", row, self.small_weights[0])
        others = [before[other] for other in np.flatnonzero(before.any(axis=1)) if other != circuit]
        if (self.width + 1) ** (2 * len(others)) > _MOST_OUTCOMES:
            raise InputError(f"bits must have fewer active circuits for an exact law, got {len(others)} others.")
        added, chances = _joint_interference(others, self.d, self.copies)
        own = before[circuit][:, None, None]
        off = np.maximum(own + added, 0.0) - np.maximum(own, 0.0)  # (width, outcomes, two copies)
        mean = off.mean(axis=2) @ chances
        square, both = (off**2).mean(axis=2) @ chances, off.prod(axis=2) @ chances
        variance = (square + (self.copies - 1) * both) / self.copies - mean**2
        return mean, np.sqrt(np.maximum(variance, 0.0))

    def module(self) -> torch.nn.Module:
        """Return the stack of layers as a torch module, in float64, which reads bits (n, n_circuits · width)."""
        import torch

        from controls.ground_truth.modules import BitLayer

        return torch.nn.Sequential(*(BitLayer(weights, None, "relu") for weights in self.weights))

    def sample(self, n: int, rng: np.random.Generator, *, circuit: int = 0, output: int = 0) -> Problem:
        """Return a problem: the last layer, and as labels what one neuron of a circuit gives by itself.

        The circuit is active in every row. Site "hidden" of two, the other being "input" (all bits); the source is
        the torch module. Rows are independent.
        """
        from controls.ground_truth.modules import hidden_layer

        if whole_number(output, "output", low=0) >= self.width:
            raise InputError(f"output must be below width = {self.width}, got {output}.")
        bits = self.inputs(n, rng, circuit=circuit)
        read = bits.reshape(n, -1)
        labels = self.outputs(bits)[:, circuit, output]
        sites = {"input": read, "hidden": self.hidden(bits)[-1]}
        return Problem(sites, labels, source=Source(self.module(), read, hidden_layer)).at("hidden")

    def _bits(self, bits: np.ndarray) -> np.ndarray:
        return shaped(bits, "bits", ("n", self.n_circuits, self.width))

    def _check(self, circuit: int) -> None:
        if whole_number(circuit, "circuit", low=0) >= self.n_circuits:
            raise InputError(f"circuit must be below n_circuits = {self.n_circuits}, got {circuit}.")


def _joint_interference(others: list[np.ndarray], d: int, copies: int) -> tuple[np.ndarray, np.ndarray]:
    """Return what other circuits add to two neurons of a layer, shape (outcomes, 2), and how likely, (outcomes,)."""
    added, chances = np.zeros((1, 2)), np.ones(1)
    for values in others:
        width = len(values)
        held = np.append(values, 0.0)  # the last: the neuron holds none of this circuit's
        outcomes = np.array(list(product(range(width + 1), repeat=2)))
        each = np.array([_chance(first, second, width, d, copies) for first, second in outcomes])
        added = (added[:, None] + held[outcomes][None]).reshape(-1, 2)
        chances = (chances[:, None] * each[None]).ravel()
    return added, chances


def _chance(first: int, second: int, width: int, d: int, copies: int) -> float:
    """Return how likely two neurons of a layer hold these two neurons of a circuit; ``width`` stands for none."""
    size = dict.fromkeys(range(width), copies) | {width: d - width * copies}
    left = size[second] - (first == second)
    return size[first] / d * left / (d - 1)
