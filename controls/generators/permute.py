"""The control that makes trained weights trade places: every value is kept, where it stands is not."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, final, get_args

import numpy as np

from controls.core.errors import CannotControl
from controls.core.problem import Source
from controls.core.properties import Property
from controls.core.rng import stream
from controls.core.validate import one_of
from controls.generators.matrices import as_matrix, as_tensor, outputs_axis
from controls.generators.redrawn import WeightControl, redraw_tensors
from controls.generators.weight_properties import Layout, MatrixAlignment, TensorValues
from controls.models.heads import Attention, Heads, Role, as_heads, attentions_of

if TYPE_CHECKING:
    import torch
    from torch import nn

    from controls.models.swap import Swap
    from controls.models.tensors import Tensor

By = Literal["entry", "row", "column", "head", "neuron"]
_WORDS: dict[By, str] = {
    "entry": "whose tensors have the same entries in random places",
    "row": "in which the weights of each neuron have traded places among its inputs",
    "column": "in which the weights of each input have traded places among the neurons that read it",
    "head": "in which the queries, keys, values and outputs of attention heads go with those of other heads",
    "neuron": "in which neurons, with their weights and biases, have traded places, but not for those that read them",
}
_TRIES = 64  # draws of head orders before all are taken for equivalent


@final
@dataclass(frozen=True)
class PermuteWeights(WeightControl):
    """Keeps every value of the trained weights; destroys where in its tensor it stands.

    Parameters
    ----------
    by : {"entry", "row", "column", "head", "neuron"}
        What trades places with what. "entry": all entries of a tensor. "row": the entries of each row (the weights
        of one neuron, one token's embedding), among themselves: a neuron keeps its weights and looks at other inputs.
        "column": the entries of each column (the weights from one input, one feature of an embedding). "head": the
        attention heads, whole, of queries, of keys, of values and of outputs, each in an order of its own. "neuron":
        the rows of each matrix, whole and with their biases, while the columns of the matrix that reads them stay.
    include, exclude : str or tuple of str
        Globs on the names of parameters, such as ``"*.attention.*"``, or kinds: "embeddings",
        "unembedding", "norms", "biases". All parameters where ``include`` is None.
    heads : mapping of str to int, optional
        How many heads attention modules have that do not say it: globs on their paths, and numbers.

    Raises
    ------
    CannotControl
        Orders of heads that would all change nothing (a single head, say), "head" in a model without attention of
        the usual names, and any draw that leaves the activations, or only rotates them.

    Notes
    -----
    Null hypothesis: the model's score comes from the same law as those of models with these weights in random
    places. Rows and columns count as in ``torch.nn.Linear``, outputs by inputs (GPT-2's are turned, convolutions
    flattened to outputs by everything else). Vectors trade entries in "entry", "row" and "column". "head" and
    "neuron" redraw what has heads, and matrices that are no embeddings with their biases; all else stays trained.

    Neurons that trade places everywhere at once change nothing a model computes. "head" never draws such an order:
    at least one head is put together anew. "neuron" moves the rows of every matrix against those that read
    them; where a layer shows the moved neurons themselves, its rows are only rotated, which is refused.

    The rank is exact for weights that are exchangeable in this way: independent and identically distributed
    entries for "entry", those of one neuron for "row". Each draw is checked: sorted, every tensor is what it was,
    bit for bit; and a draw that by chance changes nothing is refused, which happens to matrices of a handful of
    entries alone. Cost of a draw: O(N log N) for N parameters, then one forward pass.

    References
    ----------
    Conmy et al. (2023), arXiv 2304.14997, reset networks by exchanging heads and neurons.

    Examples
    --------
    >>> import numpy as np, torch, controls as ct
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU())
    >>> X = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
    >>> problem = ct.from_model(model, X, layer="1", labels=(X[:, 0] > 0).numpy())
    >>> drawn = ct.PermuteWeights(by="row").draw(problem, np.random.default_rng(0))
    >>> drawn.proof["tensors with the same values, sorted"]
    2.0
    """

    by: By = "entry"
    include: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()
    heads: Heads | Mapping[str, int] = ()

    def __post_init__(self) -> None:
        one_of(self.by, "by", get_args(By))
        self._check_patterns()
        object.__setattr__(self, "heads", as_heads(self.heads))

    @property
    def ensemble(self) -> str:
        """The ensemble of redrawn models in words."""
        return _WORDS[self.by]

    @property
    def preserves(self) -> tuple[Property, ...]:
        """The labels, the groups, and the values of every tensor."""
        return (*super().preserves, TensorValues())

    @property
    def destroys(self) -> tuple[Property, ...]:
        """The activations, and which weight stands where (whole heads keep most of that)."""
        if self.by == "head":
            return super().destroys
        layouts: dict[By, Layout] = {"entry": "any", "row": "row", "column": "column"}
        return (*super().destroys, MatrixAlignment(layouts.get(self.by, "column")))

    def targets(self, model: nn.Module, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Return the tensors that are redrawn: of "head" and "neuron", those that have any."""
        chosen = super().targets(model, tensors)
        if self.by == "head":
            parts = [part.tensor for found in self._attentions(model, tensors, chosen) for part in found.parts]
            return tuple(tensor for tensor in chosen if tensor in parts)
        if self.by == "neuron":
            owners = {tensor.path for tensor in chosen if tensor.is_matrix}
            chosen = tuple(t for t in chosen if t.is_matrix or (t.path in owners and t.parameter.ndim == 1))
            if not chosen:
                raise CannotControl("by='neuron' needs a matrix among the parameters that are redrawn, got none.")
        return chosen

    def _attentions(self, model: nn.Module, tensors: Sequence[Tensor], chosen: Sequence[Tensor]) -> tuple:
        return attentions_of(model, tensors, chosen, self.heads)  # type: ignore[arg-type]

    def redraw(self, swap: Swap, targets: Sequence[Tensor], source: Source, seed: int) -> dict[str, float]:
        """Write the trained values in other places; refuse a draw in which they are not the same values."""
        before = {tensor: print_of_values(tensor.parameter) for tensor in targets}
        if self.by == "head":
            for attention in self._attentions(swap.model, swap.tensors, targets):
                _redraw_heads(swap, attention, targets, seed)
        elif self.by == "neuron":
            _redraw_neurons(swap, targets, seed)
        else:
            redraw_tensors(swap, targets, self._law, seed)
        for tensor, values in before.items():
            if print_of_values(tensor.parameter) != values:
                raise CannotControl(f"the redraw of {tensor.name!r} changed its values, not only their places.")
        return {"tensors with the same values, sorted": float(len(targets))}

    def _law(self, tensor: Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return a tensor's own entries in other places."""
        import torch

        weights = tensor.parameter.detach()
        if self.by == "entry" or weights.ndim < 2:
            order = torch.randperm(weights.numel(), generator=generator, device=weights.device)
            return weights.flatten()[order].view(weights.shape)
        matrix = as_matrix(tensor, weights)
        along = 1 if self.by == "row" else 0
        keys = torch.rand(matrix.shape, generator=generator, device=weights.device)
        return as_tensor(tensor, matrix.gather(along, keys.argsort(dim=along)))


def print_of_values(values: torch.Tensor) -> bytes:
    """Return a hash of the bit patterns of a tensor's entries, sorted: the same where the entries are the same."""
    import torch

    whole = {2: torch.int16, 4: torch.int32, 8: torch.int64}[values.element_size()]
    bits = values.detach().contiguous().view(-1).view(whole).sort().values
    return hashlib.blake2b(bits.cpu().numpy().data, digest_size=16).digest()


def _redraw_neurons(swap: Swap, targets: Sequence[Tensor], seed: int) -> None:
    """Write the outputs of each module in an order of its own, weights and biases alike."""
    import torch

    for tensor in targets:
        axis = 0 if tensor.parameter.ndim < 2 else outputs_axis(tensor)
        rng = stream(seed, "weights", "neurons", tensor.path, *([] if tensor.path else [tensor.name]))
        order = torch.from_numpy(rng.permutation(tensor.parameter.shape[axis])).to(tensor.parameter.device)
        swap.write(tensor, tensor.parameter.detach().index_select(axis, order))


def _redraw_heads(swap: Swap, attention: Attention, targets: Sequence[Tensor], seed: int) -> None:
    """Write the heads of each role in an order of its own, biases along with weights."""
    parts = [part for part in attention.parts if part.tensor in targets]
    orders = _orders(attention, {part.role for part in parts if part.role in attention.weights}, seed)
    values = {part.tensor: part.tensor.parameter.detach().clone() for part in parts}
    for part in parts:
        part.join(values[part.tensor], part.split(part.tensor.parameter.detach())[orders[part.role]])
    for tensor, drawn in values.items():
        swap.write(tensor, drawn)


def _orders(attention: Attention, moved: set[Role], seed: int) -> dict[Role, np.ndarray]:
    """Return an order of the heads of each role; one that puts heads together anew."""
    rng = stream(seed, "weights", "heads", attention.path)
    shared = attention.heads // attention.groups
    sizes: dict[Role, int] = {"query": attention.heads, "key": attention.groups, "value": attention.groups,
                              "output": attention.heads}  # fmt: skip
    for _ in range(_TRIES):
        orders: dict[Role, np.ndarray] = {
            role: rng.permutation(n) if role in moved else np.arange(n) for role, n in sizes.items()
        }
        if not _only_renamed(orders, shared):
            return orders
    raise CannotControl(
        f"by='head' can put no heads together anew in attention module {attention.path!r} with {attention.heads} "
        f"heads, of which {', '.join(sorted(moved)) or 'nothing'} may move; redraw more of it, or exclude= it."
    )


def _only_renamed(orders: Mapping[Role, np.ndarray], shared: int) -> bool:
    """Whether every head has its own query, key, value and output still, whatever its place."""
    query, output = orders["query"], orders["output"]
    groups = np.arange(len(query)) // shared
    own = query // shared
    same = (orders["key"][groups] == own).all() and (orders["value"][groups] == own).all()
    return bool((query == output).all() and same)
