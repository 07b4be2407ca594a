"""Matrices: weights as outputs by everything else, however their module keeps them, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from controls.models.tensors import Tensor


def outputs_axis(tensor: Tensor) -> int:
    """Return the axis of a weight along which the outputs of its module lie.

    The last of embeddings, the second of GPT-2's ``Conv1D`` and of transposed convolutions, else the first.
    """
    owner = type(tensor.module).__name__
    if tensor.is_embedding:
        return tensor.parameter.ndim - 1
    return int(tensor.parameter.ndim > 1 and (owner == "Conv1D" or owner.startswith("ConvTranspose")))


def as_matrix(tensor: Tensor, values: torch.Tensor) -> torch.Tensor:
    """Return values shaped as a weight as a matrix: outputs by everything else; of embeddings, tokens by features."""
    return values.movedim(_rows_axis(tensor), 0).flatten(1)


def as_tensor(tensor: Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """Return a matrix as ``as_matrix`` gives it in the shape of the weight."""
    axis = _rows_axis(tensor)
    shape = list(tensor.parameter.shape)
    return matrix.reshape(shape[axis], *shape[:axis], *shape[axis + 1 :]).movedim(0, axis)


def _rows_axis(tensor: Tensor) -> int:
    return 0 if tensor.is_embedding else outputs_axis(tensor)
