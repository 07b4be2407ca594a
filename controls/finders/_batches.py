"""Where the rows of a training step come from: arrays in memory, drawn at random, or a stream that is read once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from controls.core.errors import InputError, InputTypeError, TrainerError
from controls.core.validate import as_numpy

_HELD = 4  # batches among which a stream's rows are mixed


class Batches(ABC):
    """Rows to train on, for a stack of SAEs."""

    @abstractmethod
    def next(self, generators: Sequence[torch.Generator]) -> tuple[Tensor, Tensor] | None:
        """Return inputs (S, B, d_in) and targets (S, B, d_out); None where a stream has run dry."""

    def state(self) -> dict[str, Any]:
        """Return what the next batch depends on, beside the generators."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:  # noqa: B027 - arrays have no state
        """Take over what ``state`` returned."""


@final
@dataclass(eq=False)
class Rows(Batches):
    """Rows of arrays, drawn with replacement, for each SAE from its own by its own generator."""

    inputs: Sequence[Tensor]  # one (n, d_in) for each SAE; one tensor may stand several times
    targets: Sequence[Tensor]
    size: int

    def next(self, generators: Sequence[torch.Generator]) -> tuple[Tensor, Tensor]:
        """Return random rows."""
        inputs, targets = [], []
        for read, written, generator in zip(self.inputs, self.targets, generators, strict=True):
            chosen = torch.randint(len(read), (self.size,), generator=generator).to(read.device)
            rows = read.index_select(0, chosen)
            inputs.append(rows)
            targets.append(rows if written is read else written.index_select(0, chosen))
        first = torch.stack(inputs)
        same = all(a is b for a, b in zip(self.inputs, self.targets, strict=True))
        return first, first if same else torch.stack(targets)


@final
@dataclass(eq=False)
class Stream(Batches):
    """Rows of an iterator, mixed among a few batches; all SAEs of the stack get the same ones."""

    source: Iterator[Any]
    size: int
    device: str
    count: int  # SAEs
    scale: Tensor = field(init=False)  # (d,), by which rows are multiplied
    read: int = 0  # items taken from the source
    pool: Tensor | None = None  # rows that wait

    def first(self) -> Tensor:
        """Return the rows that come first, as many as are mixed; they wait all the same."""
        self._fill()
        if self.pool is None or not len(self.pool):
            raise InputError("batches must give at least one row, got none.")
        return self.pool.to(self.device)

    def next(self, generators: Sequence[torch.Generator]) -> tuple[Tensor, Tensor] | None:
        """Return the next rows; None where fewer than a batch are left."""
        self._fill()
        if self.pool is None or len(self.pool) < self.size:
            return None
        order = torch.randperm(len(self.pool), generator=generators[0])
        rows = (self.pool[order[: self.size]].to(self.device) * self.scale).expand(self.count, -1, -1)
        self.pool = self.pool[order[self.size :]]
        return rows, rows

    def _fill(self) -> None:
        while (self.pool is None or len(self.pool) < _HELD * self.size) and self._take():
            pass

    def _take(self) -> bool:
        try:
            item = next(self.source)
        except StopIteration:
            return False
        rows = self._checked(item)
        self.pool = rows if self.pool is None else torch.cat([self.pool, rows])
        self.read += 1
        return True

    def _checked(self, item: Any) -> Tensor:
        rows = as_numpy(item, f"batch {self.read}")
        if rows.dtype.kind not in "fiub":
            raise InputTypeError(f"batches must be numbers, got {rows.dtype} in batch {self.read}.")
        d = "d" if self.pool is None else self.pool.shape[1]
        if rows.ndim != 2 or d not in ("d", rows.shape[1]):
            raise InputError(f"batches must have shape (rows, {d}), got {rows.shape} in batch {self.read}.")
        if not np.isfinite(rows).all():
            raise TrainerError(f"batches must be finite, got NaN or infinite values in batch {self.read}.")
        return torch.tensor(rows, dtype=torch.float32)

    def state(self) -> dict[str, Any]:
        """Return how many items were read, and the rows that wait."""
        return {"read": self.read, "pool": self.pool}

    def restore(self, state: dict[str, Any]) -> None:
        """Pass over the items that were read."""
        while self.read < state["read"]:
            try:
                next(self.source)
            except StopIteration:
                raise InputError(
                    f"batches must be the stream that the checkpoint was made from, of {state['read']} items or more, "
                    f"got one of {self.read}."
                ) from None
            self.read += 1
        self.pool = state["pool"]
