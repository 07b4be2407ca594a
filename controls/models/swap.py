"""Swap: write other weights into a model, in place, one tensor at a time, and put every byte back."""

from __future__ import annotations

import tempfile
import zlib
from types import TracebackType
from typing import Any, final

import numpy as np
import torch
from torch import nn

from controls.core.errors import CannotControl
from controls.models.tensors import Tensor, tensors_of


def fingerprint(tensor: torch.Tensor) -> int:
    """Return a checksum of the bytes of a tensor: two tensors with different bytes differ, but for one in 2^32.

    Of a tensor on another device, two sums over its bits, which are made there.
    """
    bits = tensor.detach().contiguous().view(-1).view(torch.uint8)
    if bits.device.type == "cpu":
        return zlib.crc32(_bytes(bits.numpy()))
    words = bits[: len(bits) // 2 * 2].view(torch.int16)
    both = torch.stack([words.sum(dtype=torch.int64), words[::2].sum(dtype=torch.int64)]).cpu()
    return int(both[0]) * 31 + int(both[1])


def _bytes(array: np.ndarray) -> memoryview:
    """Return the bytes of an array, without a copy."""
    return memoryview(array)  # type: ignore[arg-type]


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
        self._places: dict[str, int | torch.Tensor] = {}  # where the bytes of a tensor wait, or the tensor itself
        self._before: dict[str, int] = {}
        self._file: Any = None

    def __enter__(self) -> Swap:
        self._before = {tensor.name: fingerprint(tensor.parameter) for tensor in self.tensors}
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

    @property
    def written(self) -> tuple[Tensor, ...]:
        """The tensors that were written to, in the order of the model."""
        return tuple(tensor for tensor in self.tensors if tensor.name in self._places)

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
            self._places[tensor.name] = self._kept(parameter)
        parameter.data.copy_(cast)

    def print_of(self, tensor: Tensor) -> int:
        """Return the fingerprint of a tensor as it is now."""
        return fingerprint(tensor.parameter) if tensor.name in self._places else self._before[tensor.name]

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

    def _kept(self, parameter: nn.Parameter) -> int | torch.Tensor:
        data = parameter.detach().contiguous().cpu()
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="controls-")  # noqa: SIM115 - closed on leaving
            place = self._file.seek(0, 2)
            self._file.write(_bytes(data.view(-1).view(torch.uint8).numpy()))
            self._file.flush()
            return place
        except OSError:  # a full disk: one more copy in memory
            return data.clone()

    def _put_back(self) -> None:
        for tensor in self.written:
            place = self._places[tensor.name]
            data = place if isinstance(place, torch.Tensor) else self._read(tensor.parameter, place)
            tensor.parameter.data.copy_(data)
            del self._places[tensor.name]

    def _read(self, parameter: nn.Parameter, place: int) -> torch.Tensor:
        size = parameter.numel() * parameter.element_size()
        bits = np.empty(size, dtype=np.uint8)
        self._file.seek(place)
        if self._file.readinto(_bytes(bits)) != size:
            raise OSError(f"the trained weights of {size} bytes could not be read back from the temporary file")
        return torch.from_numpy(bits).view(parameter.dtype).view(parameter.shape)
