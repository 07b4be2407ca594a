"""Capture: what modules of a model give, by their paths, in one forward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import nn

from controls.core.errors import InputError, unknown_name

Take = Callable[[torch.Tensor, str], torch.Tensor]  # what to keep of the output of a path: a copy


class _Enough(Exception):
    """All that was asked for has been seen; the rest of the forward pass is left out."""


def find_modules(model: nn.Module, paths: Sequence[str]) -> dict[str, nn.Module]:
    """Return the modules at these paths; refuse a path that is not there, with the nearest that is."""
    known = dict(model.named_modules(remove_duplicate=False))
    for path in paths:
        if path not in known:
            raise unknown_name("layer", path, [name for name in known if name], advice="Give the path of a module.")
    return {path: known[path] for path in paths}


def capture(
    model: nn.Module, paths: Sequence[str], run: Callable[[], Any], take: Take, *, whole: bool
) -> dict[str, torch.Tensor]:
    """Return what ``take`` keeps of the output of each module during ``run()``.

    Parameters
    ----------
    model : torch.nn.Module
    paths : sequence of str
    run : callable
        Runs the model.
    take : callable
        ``take(output, path)`` is called as soon as the module has run, since later modules may write into its output.
    whole : bool
        Whether the forward pass goes on to its end, which shows modules that run more than once, or stops
        once all outputs are there.

    Raises
    ------
    InputError
        A module that does not run, runs more than once, or gives no floating tensor.
    """
    found: dict[str, torch.Tensor] = {}
    with _hooked(model, paths, take, found, whole), suppress(_Enough):
        run()
    for path in paths:
        if path not in found:
            raise InputError(
                f"layer {path!r} must run once when the model reads its inputs, but it did not run; name a module that "
                "is called (a container, such as a ModuleList, is not)."
            )
    return found


@contextmanager
def _hooked(
    model: nn.Module, paths: Sequence[str], take: Take, found: dict[str, torch.Tensor], whole: bool
) -> Iterator[None]:
    """Fill ``found`` as the modules run; the hooks are taken away afterwards, whatever happens."""

    def keeping(path: str) -> Callable[..., None]:
        def keep(_module: nn.Module, _inputs: Any, output: Any) -> None:
            if path in found:
                raise InputError(
                    f"layer {path!r} must run once when the model reads its inputs, but it runs more often (it is "
                    "shared, or called in a loop); name a module around or inside it that runs once."
                )
            found[path] = take(_tensor_of(output, path), path)
            if len(found) == len(paths) and not whole:
                raise _Enough

        return keep

    handles: list[Any] = []
    try:
        for path, module in find_modules(model, paths).items():
            handles.append(module.register_forward_hook(keeping(path)))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _tensor_of(output: Any, path: str) -> torch.Tensor:
    """Return the tensor of a module's output: itself, or the first of a tuple or record, as of a layer's states."""
    value = output
    if isinstance(value, Mapping):
        value = value.get("last_hidden_state", next(iter(value.values()), None))
    while isinstance(value, (tuple, list)) and value:
        value = value[0]
    if not isinstance(value, torch.Tensor) or not value.is_floating_point():
        got = f"a tensor of {value.dtype}" if isinstance(value, torch.Tensor) else type(output).__name__
        raise InputError(f"layer {path!r} must give a floating tensor, or a tuple that begins with one, got {got}.")
    return value.detach()
