"""Extraction: run a model over its inputs, batch by batch, and keep some positions of some layers as rows."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from torch import nn

from controls.core.errors import CannotControl, InputError
from controls.core.key import content_key
from controls.models.capture import capture
from controls.models.inputs import ModelInputs
from controls.models.rows import Pooling, Rows, make_rows, pool, pool_by, usual_pooling
from controls.models.swap import fingerprint, lock_of

FEW = 4  # sequences on which a draw is tried


@final
@dataclass(frozen=True, eq=False)
class Extraction:
    """``extract(model, inputs)``: activations (n, d) of one layer, or of several by their paths.

    Parameters
    ----------
    layers : tuple of str
        Paths of modules.
    single : bool
        Whether one array is returned, rather than a mapping.
    pooling : str or callable, optional
        See ``controls.from_model``.
    batch_size : int
        Sequences that the model reads together.
    train_mode : bool
        Whether the model may be in train mode.
    """

    layers: tuple[str, ...]
    single: bool
    pooling: Pooling | None
    batch_size: int
    train_mode: bool = False
    cache: str | None = None

    def __call__(self, model: Any, inputs: ModelInputs) -> Any:
        """Return the activations."""
        arrays, _ = self.extract(model, inputs)
        return arrays[self.layers[0]] if self.single else arrays

    def few(self, inputs: ModelInputs) -> ModelInputs:
        """Return a few of the inputs, on which to try what would be done to all."""
        return inputs.first(FEW)

    def rows(self, model: nn.Module, inputs: ModelInputs) -> Rows:
        """Return what the rows are, from the first batch alone."""
        with lock_of(model), torch.no_grad(), _as_it_is(model, self.train_mode):
            return _Run(self, model, inputs).first_batch()

    def key(self, model: nn.Module, inputs: ModelInputs) -> str:
        """Return what decides the activations: the model's code and weights, what it reads, and how it is read."""
        weights = [(name, tuple(t.shape), fingerprint(t)) for name, t in _state(model)]
        read = [(name, str(t.dtype), tuple(t.shape), fingerprint(t)) for name, t in inputs.arrays.items()]
        how = (self.layers, self.pooling, self.batch_size, self.train_mode, str(next(model.parameters()).device))
        packages = (torch.__version__, torch.get_num_threads())
        code = [(path, type(module), module.training, _settings(module)) for path, module in model.named_modules()]
        return content_key((code, weights, read, inputs.mask, inputs.special, inputs.words, how, packages))

    def read(self, model: nn.Module, inputs: ModelInputs) -> None:
        """Have a model read inputs in one batch, to its end; nothing is kept, and layers may run more than once."""
        arguments, _ = inputs.batch(np.arange(len(inputs)), next(model.parameters()).device)
        positional = [arguments.pop("")] if "" in arguments else []
        with torch.no_grad(), _as_it_is(model, self.train_mode):
            model(*positional, **arguments, **_extra_arguments(model))

    def extract(self, model: nn.Module, inputs: ModelInputs) -> tuple[dict[str, np.ndarray], Rows]:
        """Return the activations of each layer, and what their rows are."""
        with lock_of(model), torch.no_grad(), _as_it_is(model, self.train_mode):
            return _Run(self, model, inputs).arrays()


def _state(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the names and tensors of parameters and buffers."""
    yield from model.named_parameters()
    yield from model.named_buffers()


def _settings(module: nn.Module) -> dict[str, Any]:
    """Return what of a module, beside its code and tensors, decides what it gives: numbers, texts, its configuration.

    Raises
    ------
    InputError
        A module with hooks, or a forward of its own: what they do has no content to go by.
    """
    if module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module):
        raise InputError(
            f"cache must be None for a model with hooks or a forward of its own, got a {type(module).__name__} with "
            "one; take them off, or leave cache= out."
        )
    plain = {name: value for name, value in vars(module).items() if isinstance(value, (bool, int, float, str, tuple))}
    config: Any = getattr(module, "config", None)
    return {**plain, "config": repr(config.to_dict()) if hasattr(config, "to_dict") else ""}


class _Run:
    """One pass of a model over its inputs."""

    def __init__(self, how: Extraction, model: nn.Module, inputs: ModelInputs) -> None:
        self.how, self.model, self.inputs = how, model, inputs
        self.device = next(model.parameters()).device
        self.extra = _extra_arguments(model)
        self.rows: Rows | None = None
        self.pooling = how.pooling
        self.width = 0  # positions of the first layer, where inputs have no mask
        self._filled: dict[str, np.ndarray] = {}

    def arrays(self) -> tuple[dict[str, np.ndarray], Rows]:
        batches = self._batches()
        rows = self.first_batch()
        for which in batches[1:]:
            self._batch(which, first=False)
        return {path: self._filled[path] for path in self.how.layers}, rows

    def first_batch(self) -> Rows:
        self._batch(self._batches()[0], first=True)
        assert self.rows is not None
        return self.rows

    def _batches(self) -> list[np.ndarray]:
        """Return the sequences of each batch: those of like length together."""
        lengths = self.inputs.lengths()
        order, size = np.argsort(lengths, kind="stable"), self.how.batch_size
        if size > 1 and len(order) > 1 and lengths[order[:size]].max() == len(order[:size]):
            # As many sequences as positions would not show a layer that has them the other way round.
            return [order[:1], *(np.sort(order[start : start + size]) for start in range(1, len(order), size))]
        return [np.sort(order[start : start + size]) for start in range(0, len(order), size)]

    def _batch(self, which: np.ndarray, *, first: bool) -> None:
        arguments, longest = self.inputs.batch(which, self.device)
        mask = None if self.inputs.mask is None else torch.from_numpy(self.inputs.mask[which, :longest]).to(self.device)
        rows: list[np.ndarray] = []

        def take(output: torch.Tensor, path: str) -> torch.Tensor:
            self._settle(output)
            assert self.rows is not None
            sequence, position, row = self.rows.of(which)
            if not rows:
                rows.append(np.unique(row))
            if callable(self.pooling):
                return pool_by(self.pooling, output, mask)
            if self.pooling == "none":
                return _one_row_each(output, len(which), path)
            self._check_positions(output, len(which), longest, path)
            return pool(output, (sequence, position), row, path)

        def run() -> None:
            positional = [arguments.pop("")] if "" in arguments else []
            self.model(*positional, **arguments, **self.extra)

        for path, values in capture(self.model, self.how.layers, run, take, whole=first).items():
            self._fill(path, values, rows[0])

    def _settle(self, output: torch.Tensor) -> None:
        """Decide, at the first output, what the rows are."""
        if self.rows is None:
            self.pooling = self.pooling or usual_pooling(self.inputs, output)
            width = output.shape[1] if output.ndim > 1 else 1
            self.rows = make_rows(self.pooling, self.inputs, width)

    def _check_positions(self, output: torch.Tensor, count: int, longest: int, path: str) -> None:
        """Refuse outputs whose positions are not those of the inputs, sequence by sequence."""
        if self.inputs.mask is None:
            longest = self.width = self.width or (output.shape[1] if output.ndim > 1 else 1)
        if output.ndim != 3 or tuple(output.shape[:2]) != (count, longest):
            raise InputError(
                f"layer {path!r} must give ({count} sequences, {longest} positions, d), as it was given, but gives "
                f"shape {tuple(output.shape)}: it adds positions, or puts them first; pool by a function(output, mask)."
            )

    def _fill(self, path: str, values: torch.Tensor, rows: np.ndarray) -> None:
        if not bool(torch.isfinite(values).all()):
            raise CannotControl(
                f"layer {path!r} gave activations that are not finite (NaN or infinite): "
                f"{first_not_finite(self.model, lambda: self._again(rows))}."
            )
        array = (values if values.element_size() >= 4 else values.float()).cpu().numpy()
        assert self.rows is not None
        if path not in self._filled:
            self._filled[path] = np.empty((self.rows.n, array.shape[1]), dtype=array.dtype)
        self._filled[path][rows] = array

    def _again(self, rows: np.ndarray) -> None:
        assert self.rows is not None
        arguments, _ = self.inputs.batch(np.unique(self.rows.sequence_of[rows]), self.device)
        positional = [arguments.pop("")] if "" in arguments else []
        self.model(*positional, **arguments, **self.extra)


def _one_row_each(output: torch.Tensor, count: int, path: str) -> torch.Tensor:
    if output.ndim != 2 or len(output) != count:
        raise InputError(
            f"layer {path!r} must give one row per sequence ({count}, d) for pooling='none', got shape "
            f"{tuple(output.shape)}; choose a pooling of positions, or a function."
        )
    return output.clone()


def first_not_finite(model: nn.Module, run: Callable[[], Any]) -> str:
    """Return which module was the first to give values that are not finite, in words."""
    found: list[str] = []

    def keeping(path: str) -> Callable[..., None]:
        def look(_module: nn.Module, _inputs: Any, output: Any) -> None:
            value = output[0] if isinstance(output, tuple) and output else output
            if not isinstance(value, torch.Tensor) or found or not value.is_floating_point():
                return
            if not bool(torch.isfinite(value).all()):
                found.append(path)

        return look

    handles = [module.register_forward_hook(keeping(path)) for path, module in model.named_modules() if path]
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    return f"the first module to do so is {found[0]!r}" if found else "no module does so by itself"


def _extra_arguments(model: nn.Module) -> dict[str, Any]:
    """Return arguments that spare work: no key–value cache where forward takes use_cache."""
    try:
        names = inspect.signature(model.forward).parameters
    except (TypeError, ValueError):
        return {}
    return {"use_cache": False} if "use_cache" in names else {}


def check_mode(model: nn.Module, train_mode: bool) -> None:
    """Refuse a model in train mode whose forward pass is random or leaves traces, unless that was asked for."""
    if train_mode:
        return
    for path, module in model.named_modules():
        drops = isinstance(module, nn.modules.dropout._DropoutNd) and module.p > 0
        if module.training and (drops or isinstance(module, nn.modules.batchnorm._BatchNorm)):
            raise InputError(
                f"model must be in eval mode, got train mode with a {type(module).__name__} ({path!r}), which makes "
                "its activations random; call model.eval(), or set train_mode=True if that is what you study."
            )


@contextmanager
def _as_it_is(model: nn.Module, train_mode: bool) -> Iterator[None]:
    """Leave buffers and global random state as they are; in train mode, always the same noise."""
    buffers = [(module, dict(module._buffers)) for module in model.modules()]
    values = {name: buffer.detach().clone() for name, buffer in model.named_buffers()}
    devices = [p.device for p in [next(model.parameters())] if p.device.type == "cuda"]
    try:
        if not (train_mode and any(module.training for module in model.modules())):
            yield
            return
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(0)
            yield
    finally:
        for module, kept in buffers:
            module._buffers.clear()
            module._buffers.update(kept)
        for name, buffer in model.named_buffers():
            if buffer.shape == values[name].shape:
                buffer.copy_(values[name])
