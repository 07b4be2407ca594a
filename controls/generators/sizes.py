"""Sizes: how large the outputs of modules are on a calibration batch, and weights rescaled until they are so again."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from controls.core.problem import Source

if TYPE_CHECKING:
    import torch
    from torch import nn

    from controls.models.swap import Swap
    from controls.models.tensors import Tensor

_STEPS = 8  # in which a size is solved for
_DONE = 1e-4  # error at which it counts as met


@final
@dataclass(frozen=True)
class Size:
    """What a layer gives on the calibration batch."""

    writer: str  # path of the module whose weight decides it
    mean: float
    spread: float  # standard deviation of all entries

    @property
    def norm(self) -> float:
        """The root mean square of all entries."""
        return math.hypot(self.mean, self.spread)

    def error(self, wanted: Size, match: str) -> float:
        """Return the difference in size, as a share of the larger one."""
        if match == "norm":
            return abs(self.norm - wanted.norm) / max(self.norm, wanted.norm, 1e-300)
        largest = max(self.norm, wanted.norm, 1e-300)
        return max(abs(self.spread - wanted.spread), abs(self.mean - wanted.mean)) / largest


@final
class Calibration:
    """Some sequences of a source, read together, and what modules give on them.

    Parameters
    ----------
    source : Source
    batch : int
        How many sequences, where the source can tell which; else all that it reads at first.
    """

    def __init__(self, source: Source, batch: int) -> None:
        from controls.models.extract import Extraction

        self.model: nn.Module = source.model
        self._read, self._inputs, self._mask = source.extract, source.inputs, None
        whole = getattr(source.extract, "extract", None)  # of a source that takes some rows, the extraction of all
        how = source.extract if isinstance(source.extract, Extraction) else whole
        if isinstance(how, Extraction):
            self._read, self._inputs = how.read, source.inputs.spread(batch)
            if self._inputs.mask is not None:
                self._mask = self._inputs.mask[:, : int(self._inputs.lengths().max())]

    def read(self) -> None:
        """Have the model read the batch."""
        import torch

        with torch.no_grad():
            self._read(self.model, self._inputs)

    def sizes(self, paths: Sequence[str]) -> dict[str, Size]:
        """Return the sizes of the outputs at these paths, in the order in which they are first done."""
        found: dict[str, Size] = {}
        ran: list[str] = []

        def done(path: str, output: Any) -> None:
            ran.append(path)
            value = first_tensor(output)
            if path in paths and path not in found and value is not None:
                inside = [other for other in ran if other == path or other.startswith(f"{path}.")]
                writers = [other for other in inside if hasattr(self.model.get_submodule(other), "weight")]
                found[path] = self.size(value, writers[-1] if writers else path)

        with self._watched([path for path, _ in self.model.named_modules() if path], done):
            self.read()
        return found

    def errors(self, wanted: Mapping[str, Size], match: str) -> dict[str, float]:
        """Return how far sizes are from those wanted."""
        found = self.sizes(tuple(wanted))
        return {path: found[path].error(size, match) if path in found else 1.0 for path, size in wanted.items()}

    def size(self, value: torch.Tensor, writer: str) -> Size:
        """Return the size of an output, without what is padding."""
        import torch

        if self._mask is not None and value.shape[:2] == self._mask.shape:
            value = value[torch.from_numpy(self._mask).to(value.device)]
        wide = value.double()
        return Size(writer, float(wide.mean()), float(wide.std(correction=0)))

    @contextmanager
    def _watched(self, paths: Sequence[str], done: Callable[[str, Any], None]) -> Iterator[None]:
        handles = [
            self.model.get_submodule(path).register_forward_hook(lambda _m, _i, output, path=path: done(path, output))
            for path in paths
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


def first_tensor(output: Any) -> torch.Tensor | None:
    """Return a module's floating output: itself, or the first of a tuple or record."""
    import torch

    while isinstance(output, (tuple, list)) and output:
        output = output[0]
    if isinstance(output, Mapping):
        output = next(iter(output.values()), None)
    return output if isinstance(output, torch.Tensor) and output.is_floating_point() else None


def copied(value: Any) -> Any:
    """Return arguments with copies of their tensors; what is neither tensor nor collection stays itself."""
    if type(value) in (tuple, list):
        return type(value)(copied(part) for part in value)
    if type(value) is dict:
        return {name: copied(part) for name, part in value.items()}
    return value.clone() if hasattr(value, "untyped_storage") else value


def rescale(
    swap: Swap, calibration: Calibration, wanted: Mapping[str, Size], match: str, targets: Sequence[Tensor]
) -> None:
    """Rescale what writes each layer, in one pass of the batch: later layers see what the rescaled ones give.

    Layers are tried again on copies of what they were given, which they may write to.
    """
    by_name = {name: tensor for tensor in targets for name in tensor.names}
    busy: set[str] = set()  # layers that are done, or inside one that is being solved for
    given: dict[str, Any] = {}

    def keep(path: str, arguments: Any, named: Any) -> None:
        if path not in busy:
            given[path] = copied((arguments, named))

    def solve(path: str, module: Any, output: Any) -> Any:
        if path in busy:
            return None
        kept = given.pop(path)
        busy.add(path)
        held = set(busy)
        busy.update(wanted)  # those inside are left alone while this one is tried
        try:

            def again() -> Any:
                arguments, named = copied(kept)
                return module.forward(*arguments, **named)

            return _Solver(swap, calibration, wanted[path], by_name).solve(again, output, match)
        finally:
            busy.clear()
            busy.update(held)

    handles: list[Any] = []
    for path in wanted:
        module = calibration.model.get_submodule(path)
        before = lambda _, arguments, named, path=path: keep(path, arguments, named)  # noqa: E731
        handles.append(module.register_forward_pre_hook(before, with_kwargs=True))
        handles.append(module.register_forward_hook(lambda module, _, output, path=path: solve(path, module, output)))
    try:
        calibration.read()
    finally:
        for handle in handles:
            handle.remove()


class _Solver:
    """Finds the factor of a weight, and the shift of its bias, that give a layer the size wanted."""

    def __init__(self, swap: Swap, calibration: Calibration, wanted: Size, tensors: Mapping[str, Tensor]) -> None:
        self.swap, self.calibration, self.wanted = swap, calibration, wanted
        self.weight = tensors[f"{wanted.writer}.weight"]
        self.bias = tensors.get(f"{wanted.writer}.bias")
        parts = [tensor for tensor in (self.weight, self.bias) if tensor is not None]
        self.drawn = {tensor: tensor.parameter.detach().double().clone() for tensor in parts}

    def solve(self, again: Callable[[], Any], output: Any, match: str) -> Any:
        """Return the layer's output at the best factor and shift found; the weights are then at these."""
        part = "norm" if match == "norm" else "spread"
        factor = self._factor(again, getattr(self._size(output), part), part)
        self._write(factor, 0.0)
        output = again()
        if match == "moments" and self.bias is not None:
            self._write(factor, self.wanted.mean - self._size(output).mean)
            output = again()
        return output

    def _factor(self, again: Callable[[], Any], now: float, part: str) -> float:
        """Return the factor at which the size is nearest, by secants of its logarithm."""
        target = getattr(self.wanted, part)
        if not now or not target:
            return 1.0
        tried = [(0.0, math.log(now / target))]  # log factor, log of how much too large
        step = -tried[0][1]
        while len(tried) <= _STEPS and abs(min(tried, key=_off)[1]) > _DONE:
            self._write(math.exp(tried[-1][0] + step), 0.0)
            size = getattr(self._size(again()), part)
            if not size or not math.isfinite(size):
                break
            tried.append((tried[-1][0] + step, math.log(size / target)))
            (x0, y0), (x1, y1) = tried[-2:]
            slope = (y1 - y0) / (x1 - x0) if x1 != x0 else 0.0
            step = max(-2.0, min(2.0, -y1 / slope)) if slope > 1e-6 else -y1
        return math.exp(min(tried, key=_off)[0])

    def _size(self, output: Any) -> Size:
        value = first_tensor(output)
        assert value is not None  # sizes() took it for a layer
        return self.calibration.size(value, self.wanted.writer)

    def _write(self, factor: float, shift: float) -> None:
        for tensor, drawn in self.drawn.items():
            self.swap.write(tensor, drawn * factor + (shift if tensor is self.bias else 0.0))


def _off(tried: tuple[float, float]) -> float:
    return abs(tried[1])
