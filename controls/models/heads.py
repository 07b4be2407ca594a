"""Heads: where the heads of attention modules lie in their weights. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal, final, get_args

import numpy as np

from controls.core.errors import CannotControl, InputTypeError
from controls.core.validate import whole_number

if TYPE_CHECKING:
    import torch
    from torch import nn

    from controls.models.tensors import Tensor

Role = Literal["query", "key", "value", "output"]
Heads = tuple[tuple[str, int], ...]  # globs on paths of attention modules, and how many heads these have

_NAMES: dict[Role, tuple[str, ...]] = {
    "query": ("query", "q_proj", "q_lin", "to_q", "query_proj", "wq", "w_q", "W_Q", "q"),
    "key": ("key", "k_proj", "k_lin", "to_k", "key_proj", "wk", "w_k", "W_K", "k"),
    "value": ("value", "v_proj", "v_lin", "to_v", "value_proj", "wv", "w_v", "W_V", "v"),
    "output": ("out_proj", "o_proj", "c_proj", "dense", "out_lin", "to_out", "wo", "w_o", "W_O", "o", "proj"),
}
_FUSED = ("c_attn", "qkv", "qkv_proj", "Wqkv", "query_key_value")
_SIDE_BY_SIDE = ("query_key_value",)  # of these, query, key and value of one head lie together
_COUNTS = ("num_heads", "num_attention_heads", "n_heads", "n_head", "heads")


@final
@dataclass(frozen=True, eq=False)
class Part:
    """Where the heads of one role lie in a tensor."""

    role: Role
    tensor: Tensor
    axis: int  # along which heads, or the width of each, lie
    places: np.ndarray | None  # (heads, width): positions along the axis; None where heads are the first axis

    def split(self, values: torch.Tensor) -> torch.Tensor:
        """Return the values of each head, shape (heads, width, what is read or written); of biases, one column."""
        if self.places is None:
            return values.unsqueeze(-1) if values.ndim == 2 else values.movedim(self.axis, 1)
        found = values.movedim(self.axis, 0)[self.places]
        return found.unsqueeze(-1) if found.ndim == 2 else found

    def join(self, values: torch.Tensor, heads: torch.Tensor) -> None:
        """Write the values of each head, shaped as ``split`` gives them, into a tensor like this part's."""
        if self.places is None:
            values.copy_(heads.squeeze(-1) if values.ndim == 2 else heads.movedim(1, self.axis))
        else:
            view = values.movedim(self.axis, 0)
            view[self.places.ravel()] = heads.reshape(-1, *view.shape[1:])


@final
@dataclass(frozen=True, eq=False)
class Attention:
    """An attention module: its parts by role, of weights and of biases, as far as it has them."""

    path: str
    heads: int
    weights: Mapping[Role, Part]
    biases: Mapping[Role, Part]

    @property
    def groups(self) -> int:
        """How many key and value heads there are; fewer than heads where several share one."""
        for role in ("key", "value"):
            if role in self.weights and (places := self.weights[role].places) is not None:
                return len(places)
        return self.heads

    @property
    def parts(self) -> tuple[Part, ...]:
        """All parts, weights first."""
        return (*self.weights.values(), *self.biases.values())


def as_heads(value: Any) -> Heads:
    """Return a mapping of globs to numbers of heads as something that can be compared."""
    items = value.items() if isinstance(value, Mapping) else value
    try:
        pairs = tuple((glob, count) for glob, count in items)
    except (TypeError, ValueError):
        pairs = (("", 0),)
    if not all(isinstance(glob, str) and glob for glob, _ in pairs):
        raise InputTypeError(
            f"heads must map globs on paths of attention modules to numbers, such as {{'blocks.*.attn': 4}}, "
            f"got {value!r}."
        )
    return tuple((glob, whole_number(count, f"heads[{glob!r}]", low=1)) for glob, count in pairs)


def attentions_of(
    model: nn.Module, tensors: Sequence[Tensor], targets: Sequence[Tensor], heads: Heads = ()
) -> tuple[Attention, ...]:
    """Return the attention modules of a model that have some of the targets, with the heads in all their tensors.

    A module is one where it has a query, a key and a value of the usual names (``q_proj``, ``query``, ``W_Q``,
    ...), or one matrix for the three (``c_attn``, ``qkv``, ``in_proj_weight``, ...). The number of heads is
    its ``num_heads`` (or ``n_head``, ...), that of its ``config``, or what ``heads`` says; how many key and
    value heads there are follows from shapes.

    Raises
    ------
    CannotControl
        No such module, or one whose number of heads is not known or does not divide its width.
    """
    by_name = {name: tensor for tensor in tensors for name in tensor.names}
    names = [name for tensor in targets for name in tensor.names]
    found = []
    for path, module in model.named_modules():
        around = path.rpartition(".")[0] + "." if path else ""  # the output matrix may lie beside the module
        mine = _Finder(path, module, by_name, model)
        if mine.is_attention and any(name.startswith(around if "." in path else path) for name in names):
            attention = mine.attention(heads)
            if any(part.tensor in targets for part in attention.parts):
                found.append(attention)
    if not found:
        raise CannotControl(
            "no attention module with query, key and value weights of the usual names (q_proj, query, c_attn, qkv, "
            "in_proj_weight, W_Q, ...) is among the parameters that are redrawn; choose another mode, or other "
            "include= and exclude=."
        )
    return tuple(found)


class _Finder:
    """Looks for the parts of attention in one module."""

    def __init__(self, path: str, module: nn.Module, tensors: Mapping[str, Tensor], model: nn.Module) -> None:
        self.path, self.module, self.tensors, self.model = path, module, tensors, model
        self.members = {name for name, child in module.named_children() if hasattr(child, "weight")}
        self.members |= {name for name, _ in module.named_parameters(recurse=False)}

    @property
    def fused(self) -> str | None:
        """The name of the one matrix for query, key and value."""
        return next((name for name in (*_FUSED, "in_proj_weight") if name in self.members), None)

    @property
    def is_attention(self) -> bool:
        """Whether there are a query, a key and a value."""
        apart = all(self._name(role) for role in get_args(Role)[:3])
        return apart or (self.fused is not None)

    def attention(self, heads: Heads) -> Attention:
        count = self._count(heads)
        parts = list(self._fused_parts(count)) if self.fused else list(self._apart(count))
        parts += self._output(count)
        weights: dict[Role, Part] = {part.role: part for part, is_bias in parts if not is_bias}
        biases: dict[Role, Part] = {part.role: part for part, is_bias in parts if is_bias}
        return Attention(self.path, count, weights, biases)

    # -- finding -----------------------------------------------------------------------------------

    def _name(self, role: Role) -> str | None:
        extra = (f"{role[0]}_proj_weight",) if role != "output" else ()
        return next((name for name in (*_NAMES[role], *extra) if name in self.members), None)

    def _count(self, heads: Heads) -> int:
        for glob, count in heads:
            if fnmatchcase(self.path, glob):
                return count
        for owner in (self.module, getattr(self.module, "config", None), getattr(self.module, "cfg", None)):
            for name in _COUNTS:
                if isinstance(count := getattr(owner, name, None), int):
                    return count
        weight = getattr(self.module, "W_Q", None)
        if weight is not None and weight.ndim == 3:
            return len(weight)
        raise CannotControl(
            f"attention module {self.path!r} does not say how many heads it has (num_heads, n_head, ...); give "
            f"heads={{{self.path!r}: number}}, or a glob in place of the path."
        )

    def _named(self, path: str, name: str) -> Iterator[tuple[Tensor, bool, int]]:
        """Yield the weight and the bias of a member, as far as they are redrawn, and the axis of their outputs."""
        prefix = f"{path}.{name}" if path else name
        child = self.model.get_submodule(path)._modules.get(name)
        axis = int(type(child).__name__ == "Conv1D")  # GPT-2's: inputs by outputs
        pairs = [(prefix + ".weight", False), (prefix + ".bias", True)] if child is not None else [
            (prefix, False), (_bias_name(prefix), True)]  # fmt: skip
        for full, is_bias in pairs:
            if full in self.tensors:
                yield self.tensors[full], is_bias, 0 if is_bias else axis

    # -- parts -------------------------------------------------------------------------------------

    def _apart(self, heads: int) -> Iterator[tuple[Part, bool]]:
        rows = None
        for role in get_args(Role)[:3]:
            for tensor, is_bias, axis in self._named(self.path, str(self._name(role))):
                if tensor.parameter.ndim == 3 or (is_bias and tensor.parameter.ndim == 2):
                    yield Part(role, tensor, 2, None), is_bias
                    continue
                length = tensor.parameter.shape[axis]
                rows = rows or self._width(role, length, heads)
                yield Part(role, tensor, axis, self._blocks(length, rows)), is_bias

    def _width(self, role: Role, length: int, heads: int) -> int:
        """Return the width of a head: of the query, as many rows as there are; else what the module says."""
        said = getattr(self.module, "head_dim", None) or getattr(self.module, "attention_head_size", None)
        if isinstance(said, int):
            return said
        query = getattr(self.module, str(self._name("query")), None)
        whole = getattr(query, "weight", query)
        if whole is not None and role != "query":
            length = whole.shape[int(type(query).__name__ == "Conv1D")]
        return self._divided(length, heads)

    def _fused_parts(self, heads: int) -> Iterator[tuple[Part, bool]]:
        name = str(self.fused)
        for tensor, is_bias, axis in self._named(self.path, name):
            length = tensor.parameter.shape[axis]
            width = self._divided(self._reads(length // 3), heads)
            shared = (length // width - heads) // 2
            if width * (heads + 2 * shared) != length or (name in _SIDE_BY_SIDE and shared != heads):
                raise CannotControl(
                    f"attention module {self.path!r} has {name!r} with {length} outputs, which are not query, key and "
                    f"value of {heads} heads of width {width}; exclude= it."
                )
            rows = np.arange(length)
            if name in _SIDE_BY_SIDE:
                thirds = rows.reshape(heads, 3, width).swapaxes(0, 1)
            else:
                thirds = [part.reshape(-1, width) for part in np.split(rows, [heads * width, (heads + shared) * width])]
            for role, places in zip(get_args(Role)[:3], thirds, strict=True):
                yield Part(role, tensor, axis, np.ascontiguousarray(places)), is_bias

    def _reads(self, default: int) -> int:
        """Return what the output matrix reads: heads times their width."""
        name = self._name("output")
        child = self.module._modules.get(name) if name else None
        weight = getattr(child, "weight", None)
        return default if weight is None else weight.shape[1 - int(type(child).__name__ == "Conv1D")]

    def _output(self, heads: int) -> Iterator[tuple[Part, bool]]:
        """Yield the output matrix: of the module itself, or, as in BERT, that of the module beside it."""
        path, name = self.path, self._name("output")
        if name is None:
            path = f"{path.rpartition('.')[0]}.output".lstrip(".")
            known = dict(self.model.named_modules())
            name = "dense" if path in known and "dense" in known[path]._modules else None
        for tensor, is_bias, axis in self._named(path, name) if name else ():
            if is_bias:  # it belongs to no head
                continue
            if tensor.parameter.ndim == 3:
                yield Part("output", tensor, 1, None), False
            else:
                length = tensor.parameter.shape[1 - axis]
                yield Part("output", tensor, 1 - axis, self._blocks(length, self._divided(length, heads))), False

    def _blocks(self, length: int, width: int) -> np.ndarray:
        return np.arange(length).reshape(self._divided(length, width), width)

    def _divided(self, length: int, count: int) -> int:
        if length % count:
            raise CannotControl(
                f"attention module {self.path!r} has a weight of {length} rows, which {count} does not divide; give "
                f"heads={{{self.path!r}: number}}."
            )
        return length // count


def _bias_name(name: str) -> str:
    """Return the name of the bias that goes with a parameter: b_Q with W_Q, in_proj_bias with in_proj_weight."""
    path, _, own = name.rpartition(".")
    bias = f"b_{own[2:]}" if own.startswith("W_") else own.replace("weight", "bias")
    return f"{path}.{bias}" if path else bias
