"""Initialise: what a module's own initialiser would give its parameters, without touching the module."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from controls.core.rng import stream
from controls.models.tensors import Tensor


def initialised(model: nn.Module, tensors: Iterable[Tensor], seed: int) -> dict[Tensor, torch.Tensor]:
    """Return fresh values of the tensors whose modules know how to make them, in float32 (float64 stays).

    A module's initialiser is that of the innermost Hugging Face model around it, else its
    ``reset_parameters``. It runs on a copy whose parameters hold NaN, and what is NaN afterwards was not its
    to set. Each module draws from a stream of its own, whatever the global random state, which stays.
    """
    by_owner: dict[str, list[Tensor]] = {}
    for tensor in tensors:
        by_owner.setdefault(tensor.path, []).append(tensor)
    found: dict[Tensor, torch.Tensor] = {}
    for path, owned in by_owner.items():
        values = _fresh(model, path, owned[0].module, seed)
        for tensor in owned:
            value = values.get(tensor.attribute)
            if value is not None and bool(torch.isfinite(value).all()):
                found[tensor] = value
    return found


def _fresh(model: nn.Module, path: str, module: nn.Module, seed: int) -> dict[str, torch.Tensor]:
    """Return what the first initialiser that sets something makes of a module's own parameters."""
    device = next(module.parameters()).device
    for initialise in _initialisers(model, path):
        twin = _twin(module)
        with _seeded(int(stream(seed, "weights", "module", path).integers(2**63)), device), torch.no_grad():
            initialise(twin)
        values = {name: p.detach() for name, p in twin.named_parameters(recurse=False)}
        if any(bool(torch.isfinite(value).all()) for value in values.values()):
            return values
    return {}


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's generators, of the processor and of the device, and put them back."""
    on_gpu = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if on_gpu else []):
        torch.default_generator.manual_seed(seed)
        if on_gpu:
            torch.cuda.default_generators[device.index or 0].manual_seed(seed)
        yield


def _initialisers(model: nn.Module, path: str) -> Iterator[Callable[[nn.Module], Any]]:
    """Yield the ways in which a module at a path may be initialised, the most telling first."""
    around = path
    while True:
        inner = model.get_submodule(around)
        if callable(getattr(inner, "_init_weights", None)):
            yield inner._init_weights  # type: ignore[misc]
            break
        if not around:
            break
        around = around.rpartition(".")[0]
    for name in ("reset_parameters", "_reset_parameters"):
        if callable(getattr(model.get_submodule(path), name, None)):
            yield lambda twin, name=name: getattr(twin, name)()


def _twin(module: nn.Module) -> nn.Module:
    """Return a module like another, all the way down, with parameters that hold NaN and buffers of its own."""
    twin = copy.copy(module)
    twin.__dict__ = dict(module.__dict__)
    twin._parameters = {name: None if p is None else _blank(p) for name, p in module._parameters.items()}
    twin._buffers = {name: None if b is None else b.clone() for name, b in module._buffers.items()}
    twin._modules = {name: None if m is None else _twin(m) for name, m in module._modules.items()}
    return twin


def _blank(parameter: nn.Parameter) -> nn.Parameter:
    dtype = torch.float32 if parameter.element_size() < 4 else parameter.dtype
    return nn.Parameter(torch.full_like(parameter, torch.nan, dtype=dtype), requires_grad=False)
