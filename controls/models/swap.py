"""Swap: write other weights into a model, in place, one tensor at a time, and put every byte back."""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from threading import RLock
from types import TracebackType
from typing import Any, final
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import nn

from controls.core.errors import CannotControl
from controls.models.tensors import Tensor, tensors_of


def fingerprint(tensor: torch.Tensor) -> int:
    """Return a checksum of the bytes of a tensor: two tensors with different bytes differ, but for one in 2^32.

    Of a tensor on another device, a sum over its bits, weighted by their places, which is made there.
    """
    bits = tensor.detach().contiguous().view(-1).view(torch.uint8)
    if bits.device.type == "cpu":
        return zlib.crc32(_bytes(bits.numpy()))
    words = bits[: len(bits) // 2 * 2].view(torch.int16)
    total = torch.zeros((), dtype=torch.int64, device=bits.device)
    for start in range(0, len(words), _CHUNK):
        part = words[start : start + _CHUNK].long()
        place = torch.arange(start, start + len(part), device=bits.device)
        total += (part * (place * 2654435761 % 2147483647)).sum()
    return int(total)


def _bytes(array: np.ndarray) -> memoryview:
    """Return the bytes of an array, without a copy."""
    return memoryview(array)  # type: ignore[arg-type]


_CHUNK = 1 << 22  # words that are summed at a time
_LOCKS: WeakKeyDictionary[nn.Module, RLock] = WeakKeyDictionary()
_MAKING_LOCKS = RLock()


def lock_of(model: nn.Module) -> Any:
    """Return the lock of a model: who writes to it, or reads with it, holds it, so that threads take turns."""
    with _MAKING_LOCKS:
        if model not in _LOCKS:
            _LOCKS[model] = RLock()
        return _LOCKS[model]


@final
class Swap:
    """A model whose weights are written over for a while. Use it as a context; on leaving, every byte is back.

    The trained weights of each tensor that is written to wait in a file without a name, or in memory
    where no such file can be written: the model is never held twice. The file goes with the process.

    Parameters
    ----------
    model : torch.nn.Module
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.tensors = tensors_of(model)
        self._places: dict[str, _Place | torch.Tensor] = {}  # where the bytes of a tensor wait, or the tensor itself
        self._before: dict[str, int] = {}
        self._settled: set[str] = set()
        self._file: Any = None
        self._lock = lock_of(model)

    def __enter__(self) -> Swap:
        self._lock.acquire()
        try:
            self._before = {tensor.name: fingerprint(tensor.parameter) for tensor in self.tensors}
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            self._put_back()
        except KeyboardInterrupt:  # a second Ctrl-C does not leave drawn weights behind
            self._put_back()
            raise
        finally:
            if self._file is not None:
                self._file.close()
            self._lock.release()

    @property
    def before(self) -> dict[str, int]:
        """The fingerprints of all tensors as they were."""
        return dict(self._before)

    @property
    def written(self) -> tuple[Tensor, ...]:
        """The tensors that were written to, in the order of the model."""
        return tuple(tensor for tensor in self.tensors if tensor.name in self._places)

    def settle(self, tensors: Iterable[Tensor]) -> None:
        """Say of tensors just written that what they hold is no draw: their law has this one value."""
        self._settled |= {tensor.name for tensor in tensors}

    def is_settled(self, tensor: Tensor) -> bool:
        """Whether the law by which a tensor was last written has one value."""
        return tensor.name in self._settled

    def write(self, tensor: Tensor, values: torch.Tensor) -> None:
        """Put values into a tensor of the model, cast to its type; refuse what is not finite or of another shape."""
        parameter = tensor.parameter
        if values.shape != parameter.shape:
            raise CannotControl(
                f"a redraw of {tensor.name!r} must have shape {tuple(parameter.shape)}, got {tuple(values.shape)}."
            )
        cast = values.to(device=parameter.device, dtype=parameter.dtype)
        if not bool(torch.isfinite(cast).all()):
            raise CannotControl(
                f"a redraw of {tensor.name!r} gave values that are not finite in {parameter.dtype}; exclude= it, or "
                "use a wider type."
            )
        if tensor.name not in self._places:
            if fingerprint(parameter) != self._before[tensor.name]:
                raise CannotControl(
                    f"{tensor.name!r} changed before it was redrawn; something else writes to the model."
                )
            self._places[tensor.name] = self._kept(parameter)
        parameter.data.copy_(cast)
        self._settled.discard(tensor.name)

    def print_of(self, tensor: Tensor) -> int:
        """Return the fingerprint of a tensor as it is now."""
        return fingerprint(tensor.parameter) if tensor.name in self._places else self._before[tensor.name]

    def is_trained(self, tensor: Tensor) -> bool:
        """Whether a tensor still holds the trained weights."""
        return tensor.name not in self._places or fingerprint(tensor.parameter) == self._before[tensor.name]

    def changed(self) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Return which of the tensors written to now differ from the trained ones, and which do not."""
        same = {t.name: fingerprint(t.parameter) == self._before[t.name] for t in self.written}
        return (
            tuple(tensor for tensor in self.written if not same[tensor.name]),
            tuple(tensor for tensor in self.written if same[tensor.name]),
        )

    def others_untouched(self) -> int:
        """Return how many tensors were not written to; refuse where one of them has changed all the same."""
        others = [tensor for tensor in self.tensors if tensor.name not in self._places]
        for tensor in others:
            if fingerprint(tensor.parameter) != self._before[tensor.name]:
                raise CannotControl(f"{tensor.name!r} changed, although it was not to be redrawn; copy what it shares.")
        return len(others)

    # -- the trained weights -----------------------------------------------------------------------

    def _kept(self, parameter: nn.Parameter) -> _Place | torch.Tensor:
        data = parameter.detach().contiguous().cpu()
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="controls-")  # noqa: SIM115 - closed on leaving
            start = self._file.seek(0, 2)
            self._file.write(_bytes(data.view(-1).view(torch.uint8).numpy()))
            self._file.flush()
            return _Place(start, data.numel() * data.element_size(), tuple(data.shape), data.dtype)
        except OSError:  # a full disk: one more copy in memory
            return data.clone()

    def _put_back(self) -> None:
        errors = []
        for tensor in self.written:
            try:
                self._put_one_back(tensor)
            except Exception as error:  # the others are put back all the same
                errors.append((tensor.name, error))
            else:
                del self._places[tensor.name]
        if errors:
            name, error = errors[0]
            raise OSError(f"the trained weights of {name!r} could not be put back: {error}") from error

    def _put_one_back(self, tensor: Tensor) -> None:
        kept, parameter = self._places[tensor.name], tensor.parameter
        data = kept if isinstance(kept, torch.Tensor) else self._read(kept)
        if parameter.shape == data.shape and parameter.dtype == data.dtype:
            parameter.data.copy_(data)
        else:  # the forward pass put something of another kind there
            parameter.data = data.to(parameter.device)

    def _read(self, kept: _Place) -> torch.Tensor:
        bits = np.empty(kept.size, dtype=np.uint8)
        self._file.seek(kept.start)
        if self._file.readinto(_bytes(bits)) != kept.size:
            raise OSError(f"{kept.size} bytes could not be read back from the temporary file")
        return torch.from_numpy(bits).view(kept.dtype).view(kept.shape)


@dataclass(frozen=True)
class _Place:
    """Where in the file a tensor waits, and what it is."""

    start: int
    size: int
    shape: tuple[int, ...]
    dtype: torch.dtype
