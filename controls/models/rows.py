"""Rows: which positions of which sequence make each row of activations, and how they are pooled to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch

from controls.core.errors import InputError, InputTypeError
from controls.models.inputs import ModelInputs

Named = Literal["token", "word_first", "word_last", "word_mean", "first", "last", "mean", "none"]
POOLINGS = get_args(Named)
Pooling = str | Callable[[torch.Tensor, Any], torch.Tensor]  # a str is a Named one: checked at the door


@dataclass(frozen=True, eq=False)
class Rows:
    """The places (sequence, position) that are read, and the row to which each belongs.

    Places are in order of their sequences. ``position`` is None where outputs have one row per sequence.
    """

    sequence: np.ndarray  # (P,) of each place
    position: np.ndarray | None  # (P,)
    row: np.ndarray  # (P,)
    sequence_of: np.ndarray  # (n,) of each row
    number: np.ndarray  # (n,) what the row is within its sequence: position, word, or 0

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.sequence_of)

    def of(self, which: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return, for some sequences, each place's sequence as a position in ``which``, its place and its row."""
        starts = np.searchsorted(self.sequence, [which, which + 1])
        sizes = starts[1] - starts[0]
        within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        places = np.repeat(starts[0], sizes) + within
        position = np.zeros(len(places), dtype=np.int64) if self.position is None else self.position[places]
        return np.repeat(np.arange(len(which)), sizes), position, self.row[places]


def check_pooling(pooling: Any) -> None:
    """Refuse a pooling that there is not."""
    if pooling is not None and not callable(pooling) and pooling not in POOLINGS:
        raise InputError(f"pooling must be one of {', '.join(POOLINGS)}, or a function, got {pooling!r}.")


def usual_pooling(inputs: ModelInputs, output: torch.Tensor) -> Named:
    """Return how outputs become rows where nothing is said: words, then tokens, then what is there."""
    if output.ndim == 2:
        return "none"
    if output.ndim != 3:
        raise InputError(
            f"pooling must be a function (output, mask) -> (sequences, d) for outputs of {output.ndim} dimensions, "
            f"got None for a layer that gives {tuple(output.shape)}."
        )
    return "token" if inputs.words is None else "word_mean"


def make_rows(pooling: Pooling, inputs: ModelInputs, width: int) -> Rows:
    """Return the rows of a pooling; ``width`` is the number of positions where inputs have no mask."""
    if callable(pooling) or pooling == "none":
        every = np.arange(len(inputs))
        return Rows(every, None, every, every, np.zeros(len(inputs), dtype=np.int64))
    mask = np.ones((len(inputs), width), dtype=bool) if inputs.mask is None else inputs.mask
    content = mask if inputs.special is None else mask & ~inputs.special
    if not content.any(axis=1).all():
        empty = int(np.argmin(content.any(axis=1)))
        raise InputError(f"inputs must have something but special tokens in every sequence, got none in {empty}.")
    if pooling.startswith("word"):
        return _word_rows(pooling, inputs, content)
    if pooling == "token":
        sequence, position = np.nonzero(content)
        return Rows(sequence, position, np.arange(len(sequence)), sequence, position)
    every = np.arange(len(inputs))
    if pooling == "mean":
        sequence, position = np.nonzero(content)
        return Rows(sequence, position, sequence, every, np.zeros_like(every))
    last = content.shape[1] - 1 - np.argmax(content[:, ::-1], axis=1)
    position = last if pooling == "last" else np.argmax(mask, axis=1)
    return Rows(every, position, every, every, position)


def _word_rows(pooling: str, inputs: ModelInputs, content: np.ndarray) -> Rows:
    if inputs.words is None:
        raise InputError(f"pooling={pooling!r} needs inputs that are lists of words, with a tokenizer.")
    sequence, position = np.nonzero(content & (inputs.words >= 0))
    word = inputs.words[sequence, position]
    keys = sequence.astype(np.int64) * (int(inputs.words.max()) + 1) + word
    found, first, row = np.unique(keys, return_index=True, return_inverse=True)
    if pooling == "word_mean":
        return Rows(sequence, position, row.ravel(), sequence[first], word[first])
    if pooling == "word_last":
        first = len(keys) - 1 - np.unique(keys[::-1], return_index=True)[1]
    return Rows(sequence[first], position[first], np.arange(len(found)), sequence[first], word[first])


def pool(output: torch.Tensor, places: tuple[np.ndarray, np.ndarray], row: np.ndarray, path: str) -> torch.Tensor:
    """Return the rows (sorted, distinct) of one batch of outputs (B, T, d), each the mean of its places; a copy."""
    which, position = (torch.from_numpy(part).to(output.device) for part in places)
    if output.ndim != 3 or int(position.max()) >= output.shape[1]:
        raise InputError(
            f"layer {path!r} must give (sequences, positions, d) for this pooling, got shape {tuple(output.shape)}; "
            "set pooling='none' for one row per sequence."
        )
    picked = output[which, position]
    distinct, inverse, counts = np.unique(row, return_inverse=True, return_counts=True)
    if len(distinct) == len(row):
        return picked if (np.diff(row) > 0).all() else picked[torch.from_numpy(np.argsort(row)).to(output.device)]
    wide = picked.float() if picked.element_size() < 4 else picked
    total = torch.zeros(len(distinct), output.shape[2], dtype=wide.dtype, device=output.device)
    total.index_add_(0, torch.from_numpy(inverse.ravel()).to(output.device), wide)
    return total / torch.from_numpy(counts).to(output.device)[:, None]


def pool_by(function: Callable[[torch.Tensor, Any], torch.Tensor], output: torch.Tensor, mask: Any) -> torch.Tensor:
    """Return what a user's function makes of one batch of outputs: a row per sequence."""
    found = function(output, mask)
    if not isinstance(found, torch.Tensor) or found.ndim != 2 or len(found) != len(output):
        got = tuple(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
        raise InputTypeError(f"pooling must return a tensor ({len(output)} sequences, d), got {got}.")
    return found.detach().clone()
