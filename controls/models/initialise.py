"""Initialise: what a module's own initialiser would give its parameters, without touching the module."""

from __future__ import annotations

import inspect
import pickle
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from controls.core.rng import stream
from controls.models.tensors import Tensor


def initialised(
    model: nn.Module, tensors: Iterable[Tensor], seed: int, ends: list[Any] | None = None
) -> Iterator[tuple[Tensor, torch.Tensor]]:
    """Yield fresh values of the tensors whose modules know how to make them, in float32 (float64 stays).

    The initialisers run on a copy of the model whose parameters hold NaN, and what is NaN afterwards was not theirs to
    set: first every module's ``reset_parameters``, from the inside out, as when a model is made; then, for
    every module from the inside out, the ``_init_weights`` of the innermost model around it that has one (as
    those of Hugging Face). What a constructor does after that cannot be known. The global random
    numbers of torch, numpy and ``random`` are seeded meanwhile, and put back; how they end is added to ``ends``.

    The copy holds the parameters of one module at a time, all others being shapes alone, and the initialisers that run
    are those of that module and of all around it. Where one needs values of another module it is run again on
    a whole copy, and every tensor is yielded anew: the last values hold.
    """
    wanted = list(tensors)
    try:
        yield from _one_by_one(model, wanted, seed, ends)
    except _NeedsAll:
        yield from _all_at_once(model, wanted, seed, ends)


def always_the_same(model: nn.Module, tensors: Sequence[Tensor]) -> set[Tensor]:
    """Return the tensors that initialisers give the same values whatever the seed, such as the logarithms of 1, 2, ….

    Initialisers that set the seed themselves are random: they are told by random numbers that end alike.
    """
    runs, all_ends = [], []
    for seed in (0, 1):
        ends: list[Any] = []
        runs.append(dict(initialised(model, tensors, seed, ends)))
        all_ends.append([generator for end in ends for generator in end])
    if any(one == other for one, other in zip(*all_ends, strict=True)):
        return set()
    return {
        tensor for tensor in tensors if all(tensor in run for run in runs) and torch.equal(*(r[tensor] for r in runs))
    }


class _NeedsAll(Exception):
    """An initialiser looks at values of other modules."""


def _one_by_one(
    model: nn.Module, wanted: Sequence[Tensor], seed: int, ends: list[Any] | None
) -> Iterator[tuple[Tensor, torch.Tensor]]:
    """Yield what initialisers give, with the parameters of one module in memory at a time."""
    together: dict[frozenset[str], list[Tensor]] = {}
    for tensor in wanted:
        together.setdefault(frozenset(name.rpartition(".")[0] for name in tensor.names), []).append(tensor)
    shapes = _twin(model, {}, on_meta=True)
    for paths, own in together.items():
        numbers = stream(seed, "weights", "modules", own[0].path)
        with _seeded(numbers, own[0].parameter.device, ends), torch.no_grad():
            fresh = _of_modules(model, shapes, paths)
        yield from _finite(own, fresh)


def _of_modules(model: nn.Module, shapes: nn.Module, paths: frozenset[str]) -> Mapping[str, torch.Tensor]:
    """Return the fresh parameters of modules; the copy is left as it was."""
    blanks: dict[int, Any] = {}
    own = [parameter for path in paths for parameter in model.get_submodule(path)._parameters.values()]
    for parameter in own:
        if parameter is not None:
            _blank(parameter, blanks, on_meta=False)
    before = [(module, dict(vars(module)), dict(module._parameters)) for module in shapes.modules()]
    try:
        for path, module in model.named_modules():
            twin = shapes.get_submodule(path)._parameters
            twin.update({name: blanks[id(p)] for name, p in module._parameters.items() if id(p) in blanks})
        _run_initialisers(shapes, paths)
        fresh = {f"{path}.{name}".lstrip("."): p for path in paths
                 for name, p in shapes.get_submodule(path)._parameters.items() if p is not None}  # fmt: skip
    except Exception as error:  # of any kind: what code does with a tensor that has no values
        raise _NeedsAll from error
    finally:
        for module, attributes, parameters in before:
            module.__dict__ = attributes
            module._parameters = parameters
    if any(parameter.is_meta for parameter in fresh.values()):
        raise _NeedsAll
    return fresh


def _all_at_once(
    model: nn.Module, wanted: Sequence[Tensor], seed: int, ends: list[Any] | None
) -> Iterator[tuple[Tensor, torch.Tensor]]:
    """Yield what initialisers give on a whole copy of the model."""
    device = next(model.parameters()).device
    with _seeded(stream(seed, "weights", "modules"), device, ends), torch.no_grad():
        twin = _run_initialisers(_twin(model, {}), None)
    yield from _finite(wanted, dict(twin.named_parameters(remove_duplicate=False)))


def _finite(wanted: Iterable[Tensor], fresh: Mapping[str, torch.Tensor]) -> Iterator[tuple[Tensor, torch.Tensor]]:
    for tensor in wanted:
        if tensor.name in fresh and bool(torch.isfinite(fresh[tensor.name]).all()):
            yield tensor, fresh[tensor.name].detach()


def _run_initialisers(twin: nn.Module, paths: Iterable[str] | None) -> nn.Module:
    """Run the initialisers of all modules, or of some and of those around them."""
    inside_out = list(reversed(list(twin.named_modules())))
    if paths is not None:
        inside_out = [(path, module) for path, module in inside_out if any(_is_around(path, own) for own in paths)]
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


def _is_around(outer: str, inner: str) -> bool:
    return not outer or inner == outer or inner.startswith(f"{outer}.")


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
def _seeded(numbers: np.random.Generator, device: torch.device, ends: list[Any] | None) -> Iterator[None]:
    """Seed the global generators of torch (of the processor and the device), numpy and Python, and put them back."""
    on_gpu, seed = device.type == "cuda", int(numbers.integers(2**63))
    of_numpy, of_python = np.random.get_state(), random.getstate()  # noqa: NPY002 - what initialisers of others use
    with torch.random.fork_rng(devices=[device] if on_gpu else []):
        torch.default_generator.manual_seed(seed)
        if on_gpu:
            torch.cuda.default_generators[device.index or 0].manual_seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        random.seed(seed)
        try:
            yield
            if ends is not None:
                ends.append((torch.get_rng_state().tolist(), pickle.dumps(np.random.get_state()), random.getstate()))  # noqa: NPY002
        finally:
            np.random.set_state(of_numpy)  # noqa: NPY002
            random.setstate(of_python)


def _twin(module: nn.Module, blanks: dict[int, Any], *, on_meta: bool = False) -> nn.Module:
    """Return a module like another, all the way down: parameters hold NaN (or nothing), tied ones one.

    Buffers are copies.
    """
    if id(module) in blanks:
        return blanks[id(module)]
    twin = object.__new__(type(module))  # no constructor, and no rule of the class against copies
    blanks[id(module)] = twin
    twin.__dict__ = {
        name: value.clone() if isinstance(value, torch.Tensor) else value for name, value in module.__dict__.items()
    }
    twin._parameters = {
        name: None if p is None else _blank(p, blanks, on_meta=on_meta) for name, p in module._parameters.items()
    }
    twin._buffers = {name: None if b is None else b.clone() for name, b in module._buffers.items()}
    twin._modules = {
        name: None if m is None else _twin(m, blanks, on_meta=on_meta) for name, m in module._modules.items()
    }
    return twin


def _blank(parameter: nn.Parameter, blanks: dict[int, Any], *, on_meta: bool) -> nn.Parameter:
    if id(parameter) not in blanks:
        dtype = torch.float32 if parameter.element_size() < 4 else parameter.dtype
        device = torch.device("meta") if on_meta else parameter.device
        blank = torch.full_like(parameter, torch.nan, dtype=dtype, device=device)
        blanks[id(parameter)] = nn.Parameter(blank, requires_grad=False)
    return blanks[id(parameter)]
