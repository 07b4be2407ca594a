"""Checkpoints: the weights of one other model, as a record that can be compared, hashed and sent to workers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from controls.core.errors import InputError, InputTypeError

if TYPE_CHECKING:
    import torch

    from controls.models.tensors import Tensor

_CHUNK = 1 << 24  # bytes that are read at a time


@final
@dataclass(frozen=True)
class Checkpoint:
    """A state dict, in memory or in a file. Two are equal where their content is.

    Parameters
    ----------
    key : str
        A hash of the content.
    path : str, optional
        The file, which is read when it is needed. It does not count in comparisons.
    """

    key: str
    path: str | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        """Return where it is, or its key; never the arrays."""
        return repr(self.path) if self.path is not None else f"<checkpoint {self.key[:8]}>"

    @property
    def tensors(self) -> Mapping[str, torch.Tensor]:
        """The tensors by name."""
        return self.__dict__["_held"] if self.path is None else _read(self.path)

    def check(self, targets: Sequence[Tensor], known: Mapping[str, tuple[int, ...]]) -> None:
        """Refuse a checkpoint that is not one of a model with these names and shapes, and that lacks targets."""
        held = self.tensors
        missing = [tensor.name for tensor in targets if not any(name in held for name in tensor.names)]
        if missing:
            raise InputError(
                f"checkpoint must have every parameter that is redrawn, but {len(missing)} of {len(targets)} are not "
                f"there, the first {missing[0]!r}; it has {_some(held)}."
            )
        unexpected = [name for name in held if name not in known]
        if unexpected:
            raise InputError(
                f"checkpoint must have names of the model alone, but has {len(unexpected)} others, the first "
                f"{unexpected[0]!r}; the model has {_some(known)}."
            )
        for name, tensor in held.items():
            if tuple(tensor.shape) != known[name]:
                raise InputError(
                    f"checkpoint must have the model's shapes, got {name!r} of {tuple(tensor.shape)} where the model "
                    f"has {known[name]}."
                )

    def check_buffers(self, buffers: Mapping[str, torch.Tensor]) -> None:
        """Refuse a checkpoint with other buffers than the model's, such as running means: these are not swapped."""
        held = self.tensors
        for name, buffer in buffers.items():
            other = held.get(name)
            if other is not None and not bool((other.to(buffer.device, buffer.dtype) == buffer).all()):
                raise InputError(
                    f"checkpoint must have the model's buffers, which are not redrawn, but {name!r} differs; make a "
                    "problem of each model, and give the other one to ct.difference_in_differences(against=)."
                )

    def values(self, targets: Sequence[Tensor]) -> Iterator[tuple[Tensor, torch.Tensor]]:
        """Yield the targets, each with its values."""
        held = self.tensors
        for tensor in targets:
            yield tensor, next(held[name] for name in tensor.names if name in held)


def as_checkpoint(value: Any) -> Checkpoint:
    """Return a state dict, or a path to one, as a checkpoint."""
    if isinstance(value, Checkpoint):
        return value
    if isinstance(value, Mapping):
        return _of_mapping(value)
    if not isinstance(value, (str, PathLike)):
        raise InputTypeError(
            f"checkpoint must be a mapping of names to tensors, or the path of a file, got {type(value).__name__}; "
            "for several, name a control for each."
        )
    path = Path(fspath(value)).absolute()  # type: ignore[arg-type]
    if not path.is_file():
        raise InputError(f"checkpoint must be a file that is there, got {str(path)!r}.")
    _require_mapping(_read(str(path)))
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(_CHUNK):
            digest.update(part)
    return Checkpoint(digest.hexdigest(), str(path))


def _of_mapping(given: Mapping[Any, Any]) -> Checkpoint:
    """Return a checkpoint of copies, so that what becomes of the caller's tensors changes nothing."""
    import torch

    _require_mapping(given)
    held, digest = {}, hashlib.sha256()
    for name, tensor in given.items():
        held[name] = tensor.detach().cpu().contiguous().clone()
        digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)};".encode())
        if held[name].numel():
            digest.update(held[name].view(-1).view(torch.uint8).numpy())
    made = Checkpoint(digest.hexdigest())
    made.__dict__["_held"] = held
    return made


def _require_mapping(given: Any) -> None:
    import torch

    if not isinstance(given, Mapping) or not given:
        raise InputTypeError(f"checkpoint must hold a mapping of names to tensors, got {type(given).__name__}.")
    for name, tensor in given.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            raise InputTypeError(
                f"checkpoint must map names to tensors, got {type(tensor).__name__} for {name!r}; give the model's "
                "state dict itself, such as what model.state_dict() returns."
            )


def _read(path: str) -> Mapping[str, torch.Tensor]:
    """Return the tensors of a file, without running any code that is in it."""
    import torch

    try:
        if path.endswith(".safetensors"):
            from safetensors.torch import load_file

            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except ImportError as error:
        raise InputError("checkpoint ends in .safetensors, which needs `pip install controls[safetensors]`.") from error
    except Exception as error:
        raise InputError(
            f"checkpoint must be a file of tensors alone (.safetensors, or torch.save of a state dict), but {path!r} "
            f"could not be read as one ({type(error).__name__})."
        ) from error


def _some(names: Mapping[str, Any]) -> str:
    shown = list(names)
    return ", ".join(shown[:5]) + (", …" if len(shown) > 5 else "")
