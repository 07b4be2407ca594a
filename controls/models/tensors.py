"""Tensors: the parameters of a module, with ties found, kinds named, and some of them selected by glob."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, final

import torch
from torch import nn
from torch.nn.utils.parametrize import ParametrizationList

from controls.core.errors import InputError, InputTypeError, unknown_name
from controls.models.names import KINDS

_REMEDIES = {  # by the ending of the parameter that hooks make another tensor from
    "g": "torch.nn.utils.remove_weight_norm",
    "v": "torch.nn.utils.remove_weight_norm",
    "orig": "torch.nn.utils.remove_spectral_norm",
}
_EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)


@final
@dataclass(frozen=True, eq=False)
class Tensor:
    """A parameter of a model, with all names that it goes by (it is tied where there are several)."""

    names: tuple[str, ...]
    module: nn.Module  # that owns it, under the first name
    parameter: nn.Parameter
    kinds: frozenset[str]  # of KINDS

    @property
    def name(self) -> str:
        """The first of its names."""
        return self.names[0]

    @property
    def path(self) -> str:
        """The path of the module that owns it."""
        return self.name.rpartition(".")[0]

    @property
    def attribute(self) -> str:
        """Its name within that module."""
        return self.name.rpartition(".")[2]

    @property
    def is_embedding(self) -> bool:
        """Whether rows are looked up, rather than multiplied."""
        return "embeddings" in self.kinds

    @property
    def is_matrix(self) -> bool:
        """Whether it multiplies: two dimensions or more, and no embedding."""
        return self.parameter.ndim >= 2 and not self.is_embedding


def require_module(model: Any) -> nn.Module:
    """Refuse anything but a torch module with parameters that hold numbers."""
    inner = getattr(model, "_module", None)
    if not isinstance(model, nn.Module) and isinstance(inner, nn.Module):  # as nnsight wraps one
        model = inner
    if not isinstance(model, nn.Module):
        raise InputTypeError(f"model must be a torch.nn.Module, got {type(model).__name__}.")
    if next(model.parameters(), None) is None:
        raise InputError(f"model must have parameters, got a {type(model).__name__} without any.")
    return model


def tensors_of(model: nn.Module) -> tuple[Tensor, ...]:
    """Return the parameters of a model, each once; refuse parameters that overlap without being the same.

    Two parameters are tied where they are one object, or show one storage in the same way.
    """
    found: dict[Any, list[str]] = {}
    parameters: dict[Any, nn.Parameter] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        place = _place(parameter)
        found.setdefault(place, []).append(name)
        parameters.setdefault(place, parameter)
    return _without_views([_tensor(model, tuple(names), parameters[place]) for place, names in found.items()])


def _place(parameter: nn.Parameter) -> Any:
    if parameter.is_meta or not parameter.numel() or parameter.layout != torch.strided:
        return id(parameter)
    pointer = parameter.untyped_storage().data_ptr(), parameter.storage_offset()
    return (parameter.device, *pointer, tuple(parameter.shape), parameter.stride(), parameter.dtype)


def _tensor(model: nn.Module, names: tuple[str, ...], parameter: nn.Parameter) -> Tensor:
    owners = [model.get_submodule(name.rpartition(".")[0]) for name in names]
    kinds = {kind for name, owner in zip(names, owners, strict=True) for kind in _kinds(model, owner, name)}
    return Tensor(names, owners[0], parameter, frozenset(kinds))


def _kinds(model: nn.Module, owner: nn.Module, name: str) -> Iterator[str]:
    if isinstance(owner, _EMBEDDINGS):
        yield "embeddings"
    if "norm" in type(owner).__name__.lower():
        yield "norms"
    elif name.rpartition(".")[2].endswith("bias"):
        yield "biases"
    if owner is _output_embeddings(model) or name.split(".")[0] in ("lm_head", "unembed", "unembedding"):
        yield "unembedding"


def _output_embeddings(model: nn.Module) -> Any:
    getter = getattr(model, "get_output_embeddings", None)
    try:
        return getter() if callable(getter) else None
    except (NotImplementedError, AttributeError):
        return None


def _without_views(tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Return the tensors that are no part of another one; refuse those that overlap in another way.

    A parameter that shows a part of a larger one (as bridges show the queries of a fused matrix) goes with it.
    """
    spans = [_span(tensor) for tensor in tensors if isinstance(_place(tensor.parameter), tuple)]
    views: set[int] = set()
    for (*place, _, stop, outer), (*other_place, start, end, inner) in _neighbours(spans):
        if place != other_place or start >= stop:
            continue
        if end > stop or 0 in inner.parameter.stride():
            raise InputError(
                f"model must not have parameters that overlap in memory without being tied, got {outer.name!r} and "
                f"{inner.name!r}; give one of them a tensor of its own."
            )
        views.add(id(inner))
    return tuple(tensor for tensor in tensors if id(tensor) not in views)


def _span(tensor: Tensor) -> tuple[str, int, int, int, Tensor]:
    """Return the device, the storage, and from where to where in it a parameter reaches; the longest sort first."""
    parameter = tensor.parameter
    storage, size = parameter.untyped_storage().data_ptr(), parameter.element_size()
    start = int(parameter.storage_offset()) * size
    reach = sum((n - 1) * step for n, step in zip(parameter.shape, parameter.stride(), strict=True))
    return str(parameter.device), storage, start, start + (reach + 1) * size, tensor


def _neighbours(spans: list) -> Iterator[tuple[Any, Any]]:
    """Yield each span with the widest one before it that it could be a part of."""
    outer = None
    for span in sorted(spans, key=lambda span: (*span[:3], -span[3])):
        if outer is not None:
            yield outer, span
        if outer is None or span[:2] != outer[:2] or span[3] > outer[3]:
            outer = span


def select(tensors: Sequence[Tensor], include: Iterable[str] | None, exclude: Iterable[str]) -> tuple[Tensor, ...]:
    """Return the tensors that match some pattern of ``include`` (all, where None) and none of ``exclude``.

    A pattern is one of KINDS, or a glob on names, such as ``"encoder.layer.*.attention.*"``. A tied tensor
    matches by any of its names.
    """
    wanted = tensors if include is None else [t for t in tensors if t in _matched(tensors, include, "include")]
    refused = _matched(tensors, exclude, "exclude")
    chosen = tuple(tensor for tensor in wanted if tensor not in refused)
    if not chosen:
        raise InputError(
            f"include and exclude must leave some parameter of the model to redraw, got none of {len(tensors)}; "
            f"its parameters are: {_some_names(tensors)}."
        )
    return chosen


def _matched(tensors: Sequence[Tensor], patterns: Iterable[str], what: str) -> list[Tensor]:
    found = []
    for pattern in patterns:
        if pattern in KINDS:  # a model need not have a part of every kind
            found += [tensor for tensor in tensors if pattern in tensor.kinds]
            continue
        matching = [t for t in tensors if any(fnmatchcase(name, pattern) for name in t.names)]
        if not matching:
            raise unknown_name(
                f"{what} pattern",
                pattern,
                [*KINDS, *(name for tensor in tensors for name in tensor.names)],
                advice="A pattern is a glob on parameter names, such as '*.attention.*', or one of those kinds.",
            )
        found += matching
    return found


def _some_names(tensors: Sequence[Tensor]) -> str:
    names = [tensor.name for tensor in tensors]
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "")


def check_redrawable(tensors: Iterable[Tensor]) -> None:
    """Refuse parameters that hold no numbers that could be drawn."""
    for tensor in tensors:
        parameter, owner = tensor.parameter, type(tensor.module)
        if parameter.is_meta:
            raise InputError(
                f"parameters must be in memory, got {tensor.name!r} on the meta device; load the model's weights."
            )
        if "quantized" in owner.__module__:
            raise InputError(
                f"parameters must be plain tensors, but {tensor.name!r} is what a {owner.__name__} makes its weights "
                "from (a quantised module); use the model before quantisation, or exclude= it."
            )
        made, remedy = _made_from(tensor)
        if made:
            raise InputError(
                f"parameters must be the weights themselves, but {made!r} is made from {tensor.name!r}, so that a "
                f"redraw of that one is none of the weights; call {remedy} first, or exclude= it."
            )
        if parameter.dtype.is_complex or not parameter.dtype.is_floating_point or parameter.element_size() == 1:
            raise InputError(
                f"parameters must be floating, of at least 16 bits, got {tensor.name!r} of {parameter.dtype}; "
                "load the model without quantisation, or exclude= it."
            )
        if parameter.layout != torch.strided:
            raise InputError(f"parameters must be dense, got {tensor.name!r} of {parameter.layout}; exclude= it.")


def _made_from(tensor: Tensor) -> tuple[str, str]:
    """Return the tensor that is made from a parameter at each forward pass, and what undoes that; two blanks if none.

    Hooks of ``weight_norm``, ``spectral_norm`` and pruning leave a plain tensor beside the parameters that make it.
    """
    path, attribute = tensor.path, tensor.attribute
    if isinstance(tensor.module, ParametrizationList):
        owner, _, name = path.rpartition("parametrizations.")
        return f"{owner}{name}", f"torch.nn.utils.parametrize.remove_parametrizations(module, {name!r})"
    name, _, role = attribute.rpartition("_")
    if role not in _REMEDIES or not isinstance(vars(tensor.module).get(name), torch.Tensor):
        return "", ""
    remedy = _REMEDIES[role]
    if f"{name}_mask" in tensor.module._buffers:
        remedy = "torch.nn.utils.prune.remove"
    return f"{path}.{name}".lstrip("."), f"{remedy}(module, {name!r})"


def refuse_packed(model: nn.Module) -> None:
    """Refuse a model that holds weights outside its parameters, as torch's quantised modules do."""
    for path, module in model.named_modules():
        if hasattr(module, "_packed_params") or ".quantized" in type(module).__module__:
            raise InputError(
                f"model must hold its weights as parameters, but {path!r} is a quantised {type(module).__name__}, "
                "whose weights cannot be redrawn; use the model before quantisation."
            )
