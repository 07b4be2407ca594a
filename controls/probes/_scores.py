"""What fitted scores become: outputs of plain arrays, in which ties stay ties."""

from __future__ import annotations

import numpy as np
import torch

from controls.core.trainer import Output

ABSENT = -1e30  # the score of a class that a column's training rows lack: low, and still a number
_KEPT_BITS = {torch.float64: 36, torch.float32: 16}  # of a score, below the largest of its column


def dtype_of(named: str | None, activations: np.ndarray) -> torch.dtype:
    """Return the dtype of products: the one named, else that of the activations."""
    if named is None:
        return torch.float32 if activations.dtype.itemsize <= 4 else torch.float64
    return getattr(torch, named)


def barred(scores: torch.Tensor, floor: torch.Tensor | None) -> torch.Tensor:
    """Return scores (m, K, B), with classes that a column's training rows lack (floor (K, B) below 0) under all."""
    return scores if floor is None else torch.where(floor == 0, scores, ABSENT)


def as_output(scores: torch.Tensor, needs: str, dtype: torch.dtype) -> Output:
    """Return what is needed of scores (m, K, B), of which what ``dtype`` holds is kept."""
    scores = _rounded(scores, _KEPT_BITS[dtype])
    if needs == "labels":
        labels = (scores[:, 0] > 0).long() if scores.shape[1] == 1 else scores.argmax(1)
        return Output(labels=labels.cpu().numpy())
    if needs == "scores":
        return Output(scores=to_numpy(scores[:, 0] if scores.shape[1] == 1 else scores.transpose(1, 2)))
    if scores.shape[1] == 1:
        scores = torch.cat([torch.zeros_like(scores), scores], 1)
    return Output(probabilities=to_numpy(torch.softmax(scores, 1).transpose(1, 2)))


def _rounded(scores: torch.Tensor, bits: int) -> torch.Tensor:
    """Return scores without their last bits, which depend on how many columns were multiplied together.

    Rows that are the same get the same score then, whatever the block: ties stay ties.
    """
    real = scores.abs() < -ABSENT / 10
    largest = torch.where(real, scores.abs(), 0.0).amax((0, 1)).clamp(min=torch.finfo(scores.dtype).tiny)
    step = torch.exp2(torch.floor(torch.log2(largest)) - bits)
    return torch.where(real, (scores / step).round() * step, scores)


def to_numpy(values: torch.Tensor) -> np.ndarray:
    return values.double().contiguous().cpu().numpy()
