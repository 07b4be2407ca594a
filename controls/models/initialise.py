"""Initialise: what a module's own initialiser would give its parameters, without touching the module."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from controls.core.rng import stream
from controls.models.tensors import Tensor


def initialised(model: nn.Module, tensors: Iterable[Tensor], seed: int) -> dict[Tensor, torch.Tensor]:
    """Return fresh values of the tensors whose modules know how to make them, in float32 (float64 stays).

    The initialisers run on a copy of the model whose parameters hold NaN, and what is NaN afterwards was not theirs to
    set: first every module's ``reset_parameters``, from the inside out, as when a model is made; then, for
    every module from the inside out, the ``_init_weights`` of the innermost model around it that has one (as
    those of Hugging Face). What a constructor does after that cannot be known. Global random state stays.
    """
    wanted = list(tensors)
    device = next(model.parameters()).device
    with _seeded(int(stream(seed, "weights", "modules").integers(2**63)), device), torch.no_grad():
        fresh = dict(_run_initialisers(_twin(model, {})).named_parameters(remove_duplicate=False))
    values = {tensor: fresh[tensor.name].detach() for tensor in wanted if tensor.name in fresh}
    return {tensor: value for tensor, value in values.items() if bool(torch.isfinite(value).all())}


def _run_initialisers(twin: nn.Module) -> nn.Module:
    inside_out = list(reversed(list(twin.named_modules())))
    for _, module in inside_out:
        for name in ("reset_parameters", "_reset_parameters"):
            if callable(getattr(module, name, None)):
                getattr(module, name)()
                break
    for path, module in inside_out:
        owner = _owner(twin, path)
        if owner is None:
            continue
        if _takes_module(owner._init_weights):
            owner._init_weights(module)  # type: ignore[operator]
        elif owner is module:
            owner._init_weights()  # type: ignore[operator]
    return twin


def _owner(model: nn.Module, path: str) -> Any:
    """Return the innermost module around a path that says how to initialise modules."""
    while True:
        module = model.get_submodule(path)
        if callable(getattr(module, "_init_weights", None)):
            return module
        if not path:
            return None
        path = path.rpartition(".")[0]


def _takes_module(method: Any) -> bool:
    """Whether a method must be given a module."""
    required = [
        each for each in inspect.signature(method).parameters.values()
        if each.default is each.empty and each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
    ]  # fmt: skip
    return len(required) == 1


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's generators, of the processor and of the device, and put them back."""
    on_gpu = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if on_gpu else []):
        torch.default_generator.manual_seed(seed)
        if on_gpu:
            torch.cuda.default_generators[device.index or 0].manual_seed(seed)
        yield


def _twin(module: nn.Module, blanks: dict[int, Any]) -> nn.Module:
    """Return a module like another, all the way down: parameters hold NaN, tied ones one, buffers are copies."""
    if id(module) in blanks:
        return blanks[id(module)]
    twin = object.__new__(type(module))  # no constructor, and no rule of the class against copies
    blanks[id(module)] = twin
    twin.__dict__ = {
        name: value.clone() if isinstance(value, torch.Tensor) else value for name, value in module.__dict__.items()
    }
    twin._parameters = {name: None if p is None else _blank(p, blanks) for name, p in module._parameters.items()}
    twin._buffers = {name: None if b is None else b.clone() for name, b in module._buffers.items()}
    twin._modules = {name: None if m is None else _twin(m, blanks) for name, m in module._modules.items()}
    return twin


def _blank(parameter: nn.Parameter, blanks: dict[int, Any]) -> nn.Parameter:
    if id(parameter) not in blanks:
        dtype = torch.float32 if parameter.element_size() < 4 else parameter.dtype
        blanks[id(parameter)] = nn.Parameter(torch.full_like(parameter, torch.nan, dtype=dtype), requires_grad=False)
    return blanks[id(parameter)]
