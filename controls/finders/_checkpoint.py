"""Checkpoints: everything that the next training step depends on, in one file that is written in one step."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from controls.core.errors import ControlsWarning, InputError, StoreError
from controls.finders._batches import Batches
from controls.finders._stack import Stack

_FORMAT = "controls.sae/1"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Where a training is kept, by a key of what it is; every so many steps."""

    path: Path
    key: str
    every: int

    @classmethod
    def at(cls, path: str | PathLike[str], key: str, every: int) -> Checkpoint:
        """Return the checkpoint at a path; refuse one that cannot be a file."""
        place = Path(path)
        if place.is_dir():
            raise InputError(f"checkpoint must be a file to write, got the folder {str(place)!r}.")
        return cls(place, key, every)

    def restore(self, stack: Stack, batches: Batches, generators: Sequence[torch.Generator]) -> int:
        """Take over what is kept, if anything is; return the steps that were taken."""
        if not self.path.exists():
            return 0
        state = self._read()
        if state["key"] != self.key:
            raise StoreError(
                f"checkpoint {str(self.path)!r} is of another training (other settings, seeds or activations); name "
                "another file."
            )
        stack.restore(state["stack"])
        batches.restore(state["batches"])
        for generator, kept in zip(generators, state["generators"], strict=True):
            generator.set_state(kept)
        return int(state["step"])

    def _read(self) -> dict[str, Any]:
        try:
            state = torch.load(self.path, weights_only=True)
        except Exception as error:
            raise StoreError(
                f"checkpoint {str(self.path)!r} cannot be read ({type(error).__name__}); delete it to begin anew."
            ) from error
        if not isinstance(state, dict) or state.get("format") != _FORMAT:
            raise StoreError(f"checkpoint {str(self.path)!r} is no checkpoint of an SAE; name another file.")
        return state

    def keep(self, step: int, stack: Stack, batches: Batches, generators: Sequence[torch.Generator]) -> None:
        """Write everything, beside the file and then in its place; a disk that is full is a warning, not the end."""
        state = {
            "format": _FORMAT,
            "key": self.key,
            "step": step,
            "stack": stack.state(),
            "batches": batches.state(),
            "generators": [generator.get_state() for generator in generators],
        }
        content = io.BytesIO()
        torch.save(state, content)
        beside = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with beside.open("wb") as file:
                file.write(content.getbuffer())
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self.path)
        except OSError as error:
            beside.unlink(missing_ok=True)
            warnings.warn(
                f"checkpoint {str(self.path)!r} could not be written ({error.strerror}); training goes on.",
                ControlsWarning,
                stacklevel=2,
            )
