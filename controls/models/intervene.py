"""Intervene: have a module of a model give something else than it does, for as long as a block of code lasts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from controls.core.dictionary import Dictionary
from controls.core.errors import InputError, InputTypeError
from controls.models.capture import find_modules


@contextmanager
def splice(model: nn.Module, path: str, change: Callable[[torch.Tensor], Any] | Dictionary) -> Iterator[None]:
    """Replace the output of a module by a function of it while the block lasts.

    Parameters
    ----------
    model : torch.nn.Module
    path : str
        The module's path, as in ``model.named_modules()``.
    change : callable or Dictionary
        ``change(output)`` returns a tensor or array of the same shape. A dictionary puts its
        reconstruction of the last axis there. Of a module that gives a tuple or record, the first tensor
        is changed, and the rest stays.

    Raises
    ------
    NameNotFound
        There is no such module.
    InputError
        The module gave no tensor, the change another shape or numbers that are not finite, or the
        module did not run.

    Notes
    -----
    The hook is taken away whatever happens. Weights and modes stay as they are.

    Examples
    --------
    >>> import torch
    >>> model = torch.nn.Sequential(torch.nn.Identity(), torch.nn.ReLU())
    >>> with splice(model, "0", lambda x: x - 1):
    ...     model(torch.tensor([[0.5, 3.0]]))
    tensor([[0., 2.]])
    >>> model(torch.tensor([[0.5, 3.0]]))
    tensor([[0.5000, 3.0000]])
    """
    if not isinstance(change, Dictionary) and not callable(change):
        raise InputTypeError(f"change must be a function of a tensor, or a Dictionary, got {type(change).__name__}.")
    function = _reconstruction(change) if isinstance(change, Dictionary) else change
    ran = False

    def hook(_module: nn.Module, _inputs: Any, output: Any) -> Any:
        nonlocal ran
        ran = True
        return _with_first(output, lambda tensor: _changed(tensor, function(tensor), path), path)

    handle = find_modules(model, [path])[path].register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()
    if not ran:
        raise InputError(
            f"layer {path!r} must run while it is spliced, but it did not; run the model inside the block, and name "
            "a module that is called (a container, such as a ModuleList, is not)."
        )


def _reconstruction(dictionary: Dictionary) -> Callable[[torch.Tensor], np.ndarray]:
    def change(tensor: torch.Tensor) -> np.ndarray:
        rows = tensor.detach().cpu().float().reshape(-1, tensor.shape[-1]).numpy()
        return dictionary.decode(dictionary.encode(rows)).reshape(tensor.shape)

    return change


def _changed(tensor: torch.Tensor, value: Any, path: str) -> torch.Tensor:
    changed = torch.as_tensor(value).to(dtype=tensor.dtype, device=tensor.device)
    if changed.shape != tensor.shape:
        raise InputError(
            f"change must return the shape that layer {path!r} gives, {tuple(tensor.shape)}, got "
            f"{tuple(changed.shape)}."
        )
    if not bool(torch.isfinite(changed).all()):
        raise InputError(f"change must return finite numbers in place of layer {path!r}, got NaN or infinity.")
    return changed


def _with_first(output: Any, function: Callable[[torch.Tensor], torch.Tensor], path: str) -> Any:
    """Return a module's output with its first tensor changed, in a container of the same kind."""
    if isinstance(output, torch.Tensor) and output.is_floating_point():
        return function(output)
    if isinstance(output, Mapping) and len(output):
        first = "last_hidden_state" if "last_hidden_state" in output else next(iter(output))
        pairs = {name: _with_first(value, function, path) if name == first else value for name, value in output.items()}
        return pairs if type(output) is dict else type(output)(**pairs)
    if isinstance(output, (tuple, list)) and len(output):
        parts = [_with_first(output[0], function, path), *output[1:]]
        return type(output)(*parts) if hasattr(output, "_fields") else type(output)(parts)
    raise InputError(
        f"layer {path!r} must give a floating tensor, or a tuple that begins with one, got {type(output).__name__}."
    )
