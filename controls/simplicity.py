"""random_functions: what an architecture computes before any learning, and where a trained network's function falls."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, final

import numpy as np

from controls.core.control import Control, describe
from controls.core.errors import CannotControl, InputError, InputTypeError
from controls.core.problem import Problem, Source
from controls.core.rng import stream
from controls.core.validate import one_of, real_number, whole_number
from controls.stats.complexity import lempel_ziv
from controls.stats.pvalue import clopper_pearson

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_MOST_BITS = 12  # 4096 inputs
_BLOCK = 512  # networks that are computed together, at most
_NUMBERS = 1 << 25  # that one layer of theirs gives, at most


@final
@dataclass(frozen=True, eq=False)
class Place:
    """Where a function falls among those of random networks.

    Parameters
    ----------
    count : int
        Draws that computed this very function.
    frequency : float
        Their share.
    interval : tuple of float
        Clopper–Pearson interval of the frequency, at 95%.
    complexity : float
        Lempel–Ziv complexity of its table.
    as_simple : float
        (1 + draws that are as simple or simpler) / (draws + 1): the rank of the function by simplicity.
    draws : int
    """

    count: int
    frequency: float
    interval: tuple[float, float]
    complexity: float
    as_simple: float
    draws: int

    def __repr__(self) -> str:
        """Return the place in words."""
        low, high = self.interval
        return (
            f"complexity {self.complexity:.4g}: {self.as_simple:.3g} of {self.draws} random networks are as simple; "
            f"{self.count} compute this very function (frequency {self.frequency:.3g}, 95% interval {low:.2g} to "
            f"{high:.2g})"
        )


@final
@dataclass(frozen=True, eq=False)
class RandomFunctions:
    """The Boolean functions that random networks computed, the most frequent first.

    Parameters
    ----------
    network : str
        The architecture and its law of weights, in words.
    n_bits : int
    tables : array of shape (k, 2**n_bits), bool
        Distinct functions, by their outputs on all inputs; the first bit is the most significant.
    counts : array of shape (k,)
        How many draws computed each.
    complexity : array of shape (k,)
        Lempel–Ziv complexity of each, in bits.
    """

    network: str
    n_bits: int
    tables: np.ndarray
    counts: np.ndarray
    complexity: np.ndarray = field(repr=False)

    @property
    def draws(self) -> int:
        """Number of random networks."""
        return int(self.counts.sum())

    def __repr__(self) -> str:
        """Return what was seen, in words."""
        average = float((self.counts * self.complexity).sum() / self.draws)
        return (
            f"{self.draws} networks ({self.network}) computed {len(self.counts)} of 2^{2**self.n_bits} functions of "
            f"{self.n_bits} bits; the most frequent, {self.counts[0] / self.draws:.3g} of them. Mean complexity "
            f"{average:.4g}; of random functions about {_typical(2**self.n_bits):.4g}."
        )

    def place(self, function: Any) -> Place:
        """Return where a function falls.

        Parameters
        ----------
        function : array of shape (2**n_bits,), or callable
            Its outputs on all inputs as ``boolean_inputs(n_bits)`` lists them, 0 and 1 or booleans; or a module
            or function of those inputs (2**n_bits, n_bits), whose output above 0 (of two, the larger second) is 1.

        Raises
        ------
        InputError
            Another number of outputs; values that are not 0 or 1.
        """
        table = self._table(function)
        alike = (self.tables == table).all(axis=1)
        count = int(self.counts[alike].sum())
        complexity = float(lempel_ziv(table[None])[0])
        simpler = int(self.counts[self.complexity <= complexity + 1e-9].sum())
        interval = clopper_pearson(count, self.draws, 0.95)
        return Place(count, count / self.draws, interval, complexity, (1 + simpler) / (self.draws + 1), self.draws)

    def agreeing(self, rows: Any, outputs: Any) -> RandomFunctions:
        """Return the random networks that agree with what is known, such as training data.

        Parameters
        ----------
        rows : array of int
            Places in ``boolean_inputs(n_bits)``.
        outputs : array of 0 and 1, same shape
            What a network must have computed there.

        Raises
        ------
        CannotControl
            No draw agrees: more draws, or fewer rows, are needed.
        """
        where, wanted = np.asarray(rows), np.asarray(outputs)
        if where.ndim != 1 or where.shape != wanted.shape or not len(where):
            raise InputError(
                f"rows and outputs must be two lists of one length, at least 1, got {where.shape} and {wanted.shape}."
            )
        if where.dtype.kind not in "iu" or wanted.dtype.kind not in "iufb" or not np.isin(wanted, (0, 1)).all():
            raise InputError("rows must be whole numbers, and outputs 0 or 1; got something else.")
        if not (where.min() >= 0 and where.max() < 2**self.n_bits):
            raise InputError(f"rows must be places from 0 to {2**self.n_bits - 1}, got {where.min()} to {where.max()}.")
        agree = (self.tables[:, where] == (wanted > 0)).all(axis=1)
        if not agree.any():
            raise CannotControl(
                f"none of {self.draws} random networks agrees with the {len(where)} outputs given; draw more networks, "
                "or ask for fewer outputs."
            )
        parts = self.tables[agree], self.counts[agree], self.complexity[agree]
        return RandomFunctions(f"{self.network}, agreeing at {len(where)} inputs", self.n_bits, *parts)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per function: its table as text, count, frequency, complexity, number of ones."""
        import pandas as pd

        return pd.DataFrame(
            {
                "function": ["".join("01"[int(value)] for value in table) for table in self.tables],
                "count": self.counts,
                "frequency": self.counts / self.draws,
                "complexity": self.complexity,
                "ones": self.tables.sum(axis=1),
            }
        )

    def plot(self, function: Any = None) -> Figure:
        """Return a figure of frequency against complexity, with a function's place in it where one is given."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6, 4), layout="constrained")
        axes = figure.subplots()
        axes.scatter(self.complexity, self.counts / self.draws, s=8, alpha=0.4, linewidths=0, label="random networks")
        if function is not None:
            place = self.place(function)
            height = max(place.frequency, 0.7 / self.draws)
            axes.scatter([place.complexity], [height], marker="*", s=140, color="C3", label="the function given")
        axes.axvline(_typical(2**self.n_bits), color="0.6", linestyle=":", label="random functions")
        axes.set(yscale="log", xlabel="Lempel–Ziv complexity, bits", ylabel=f"frequency among {self.draws} networks")
        axes.legend(frameon=False)
        return figure

    def _table(self, function: Any) -> np.ndarray:
        values = _outputs(function, self.n_bits) if callable(function) else np.asarray(function)
        if values.shape != (2**self.n_bits,) or not np.isin(values, (0, 1)).all():
            raise InputError(
                f"function must give 0 or 1 for each of the {2**self.n_bits} inputs, got shape {values.shape}; "
                "see controls.simplicity.boolean_inputs."
            )
        return values.astype(bool)


def random_functions(
    network: Any,
    n_bits: int = 7,
    *,
    draws: int = 10_000,
    control: Control | None = None,
    weight_std: float = 1.0,
    bias_std: float = 1.0,
    activation: str = "relu",
    seed: int = 0,
    device: Any = "cpu",
) -> RandomFunctions:
    """Return the Boolean functions that random networks compute: what an architecture prefers before any learning.

    A trained network that computes something simple has not learned to be simple if most random networks are
    as simple: the map from parameters to functions did that.

    Parameters
    ----------
    network : sequence of int, or torch.nn.Module
        Widths of the hidden layers of a dense network, for example (40, 40), () for a perceptron: then many
        networks are computed side by side. Or any module from (2**n_bits, n_bits) float32 zeros and ones to one
        number an input (above 0 is 1), or two (the larger counts): its weights are redrawn by ``control``.
    n_bits : int
        Bits of the input, at most 12.
    draws : int
        Number of random networks.
    control : weight control, optional
        How a module is redrawn; ``Reinitialize()`` where None.
    weight_std, bias_std : float
        Of dense networks: weights have this standard deviation over the root of their inputs, biases this one.
    activation : {"relu", "tanh", "sign"}
        Of dense networks.
    seed : int
    device : str or torch.device
        Where dense networks are computed.

    Returns
    -------
    RandomFunctions

    Raises
    ------
    InputError
        Widths below 1, more than 12 bits, a module of other outputs.

    Notes
    -----
    Dense networks: O(draws · 2**n_bits · weights) time, 10⁵ networks of (40, 40) on 7 bits in 4 s on two cores;
    memory draws · 2**n_bits / 8 bytes, and up to 300 MB while they are computed. A module: one redraw and one
    forward pass each, in eval mode. The complexity of a
    string is an estimate from above, and hangs on the order of inputs; most functions are as complex as random
    ones. A frequency of 0 says no more than its interval does.

    References
    ----------
    Valle-Pérez, Camargo and Louis (2019), Deep learning generalizes because the parameter-function map is biased
    towards simple functions, ICLR. Mingard et al. (2019), Neural networks are a priori biased towards Boolean
    functions with low entropy, arXiv 1909.11522: perceptrons without bias have 0 to 2^n − 1 ones equally often.

    Examples
    --------
    >>> import controls as ct
    >>> found = ct.random_functions((), n_bits=3, draws=2000, bias_std=0.0)
    >>> ones = np.bincount(found.tables.sum(axis=1), weights=found.counts, minlength=9)
    >>> bool(ones[8] == 0 and abs(ones[:8] / 2000 - 1 / 8).max() < 0.05)
    True
    """
    if whole_number(n_bits, "n_bits", low=1) > _MOST_BITS:
        raise InputError(f"n_bits must be at most {_MOST_BITS}, for tables of {2**_MOST_BITS} values, got {n_bits}.")
    whole_number(draws, "draws", low=1)
    whole_number(seed, "seed", low=0)
    if isinstance(network, Sequence) and not isinstance(network, str):
        widths = tuple(whole_number(width, "network", low=1) for width in network)
        if control is not None:
            raise InputError("control goes with a module; dense networks are drawn by weight_std and bias_std.")
        real_number(weight_std, "weight_std", low=0.0, high=math.inf)
        real_number(bias_std, "bias_std", low=0.0, high=math.inf, open_ends=False)
        one_of(activation, "activation", ("relu", "tanh", "sign"))
        law = (float(weight_std), float(bias_std), activation)
        words = f"dense, widths {widths}, {activation}, weights {weight_std:g}, biases {bias_std:g}"
        packed = list(_dense(widths, n_bits, draws, law=law, seed=seed, device=device))
    else:
        if (weight_std, bias_std, activation) != (1.0, 1.0, "relu"):
            raise InputError(
                "weight_std, bias_std and activation go with dense networks; a module is drawn by control=."
            )
        words, packed = _redrawn(network, n_bits, draws, control, seed)
    return _counted(words, n_bits, np.concatenate(packed))


def boolean_inputs(n_bits: int) -> np.ndarray:
    """Return all inputs of so many bits, (2**n_bits, n_bits) float32 zeros and ones; the first bit changes last.

    Examples
    --------
    >>> boolean_inputs(2).tolist()
    [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
    """
    places = np.arange(2**n_bits)[:, None] >> np.arange(n_bits)[::-1]
    return (places & 1).astype(np.float32)


def _dense(
    widths: tuple[int, ...], n_bits: int, draws: int, *, law: tuple[float, float, str], seed: int, device: Any
) -> Iterator[np.ndarray]:
    """Yield the tables of dense networks, block by block, eight outputs to a byte."""
    import torch

    inputs = torch.from_numpy(boolean_inputs(n_bits)).to(device)
    apply: Callable = {"relu": torch.relu, "tanh": torch.tanh, "sign": torch.sign}[law[2]]
    sizes = (n_bits, *widths, 1)
    block = max(1, min(_BLOCK, _NUMBERS // (max(sizes) * len(inputs))))
    for start in range(0, draws, block):
        generator = torch.Generator(device=device)
        generator.manual_seed(int(stream(seed, "random functions", start).integers(2**63)))
        count = min(block, draws - start)
        hidden = inputs.expand(block, -1, -1)  # a whole block always, so that draws do not hang on their number
        for i, (fan_in, fan_out) in enumerate(pairwise(sizes)):
            weights = torch.randn(block, fan_in, fan_out, generator=generator, device=device)
            biases = torch.randn(block, 1, fan_out, generator=generator, device=device)
            hidden = torch.baddbmm(biases * law[1], hidden, weights * (law[0] / fan_in**0.5))
            hidden = apply(hidden) if i < len(widths) else hidden
        if not bool(torch.isfinite(hidden).all()):
            raise CannotControl("weight_std must give finite outputs, got NaN or infinite ones; take a smaller one.")
        yield np.packbits((hidden[:count, :, 0] > 0).cpu().numpy(), axis=1)


def _redrawn(model: Any, n_bits: int, draws: int, control: Control | None, seed: int) -> tuple[str, list[np.ndarray]]:
    """Return what was redrawn, in words, and the tables of its redraws."""
    from controls.generators.redrawn import WeightControl
    from controls.generators.weights import Reinitialize
    from controls.models.tensors import require_module

    control = Reinitialize() if control is None else control
    if not isinstance(control, WeightControl):
        raise InputTypeError(f"control must redraw weights, such as ct.Reinitialize(), got {type(control).__name__}.")
    module = require_module(model)
    problem = Problem(source=Source(module, boolean_inputs(n_bits), _logits))
    control.check(problem)
    tables = [
        np.packbits(_above(control.draw(problem, stream(seed, "random functions", i)).X)[None], axis=1)
        for i in range(draws)
    ]
    return f"{type(module).__name__}, {describe(control)}", tables


def _logits(model: Any, inputs: np.ndarray) -> np.ndarray:
    """Return the outputs of a model (2**n_bits, 1 or 2), in eval mode; it is left as it was."""
    import torch

    if isinstance(model, torch.nn.Module):
        with _in_eval_mode(model), torch.no_grad():
            found = _asked(model, inputs)
    else:
        found = model(inputs)
    array = found.double().cpu().numpy() if isinstance(found, torch.Tensor) else np.asarray(found, dtype=np.float64)
    array = array.reshape(len(inputs), -1) if array.size in (len(inputs), 2 * len(inputs)) else array
    if array.ndim != 2 or array.shape[1] not in (1, 2):
        raise InputError(f"network must give one number for each of {len(inputs)} inputs, or two, got {array.shape}.")
    if not np.isfinite(array).all():
        raise CannotControl("network gave numbers that are not finite (NaN or infinite); draw smaller weights.")
    return array


def _asked(model: Any, inputs: np.ndarray) -> Any:
    import torch

    parameter = next(iter(model.parameters()), torch.zeros(()))
    given = torch.from_numpy(inputs).to(device=parameter.device, dtype=parameter.dtype)
    try:
        return model(given)
    except RuntimeError as error:
        raise InputError(
            f"network must take {given.shape[1]} bits, an array of shape {tuple(given.shape)}; it failed with: "
            f"{str(error).splitlines()[0]}."
        ) from error


@contextmanager
def _in_eval_mode(model: Any) -> Iterator[None]:
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        yield
    finally:
        for module, training in modes:
            module.training = training


def _outputs(function: Callable, n_bits: int) -> np.ndarray:
    return _above(_logits(function, boolean_inputs(n_bits)))


def _above(logits: np.ndarray) -> np.ndarray:
    return (logits[:, 0] > 0) if logits.shape[1] == 1 else logits[:, 1] > logits[:, 0]


def _counted(words: str, n_bits: int, packed: np.ndarray) -> RandomFunctions:
    distinct, counts = np.unique(packed, axis=0, return_counts=True)
    order = np.lexsort((*distinct.T[::-1], -counts))
    tables = np.unpackbits(distinct[order], axis=1, count=2**n_bits).astype(bool)
    return RandomFunctions(words, n_bits, tables, counts[order], lempel_ziv(tables))


def _typical(length: int) -> float:
    """Return the mean complexity of 200 random strings."""
    return float(lempel_ziv(stream(0, "typical", length).random((200, length)) < 0.5).mean())
