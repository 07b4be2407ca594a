"""The scores of an attention head as a torch module, so that its weights can be controlled."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch


class AttentionScores(torch.nn.Module):
    """``query(x) · key(y)`` for every two positions x, y of a residual stream, in float64.

    Parameters
    ----------
    query, key : array of shape (d_head, d_model)
    """

    def __init__(self, query: np.ndarray, key: np.ndarray) -> None:
        super().__init__()
        self.query: Any = _linear(query)
        self.key: Any = _linear(key)

    def forward(self, stream: torch.Tensor) -> torch.Tensor:
        """Return scores (n, positions, positions), from and to, of streams (n, positions, d_model)."""
        return self.query(stream) @ self.key(stream).transpose(-1, -2)


def first_to_second(module: torch.nn.Module, streams: np.ndarray) -> np.ndarray:
    """Return the score (n, 1) from the first position to the second: the ``extract`` of the source."""
    with torch.no_grad():
        return module(torch.tensor(np.asarray(streams), dtype=torch.float64))[:, 0, 1:2].numpy()


def _linear(weights: np.ndarray) -> Any:
    # skip_init: the initial values of Linear would come from torch's global generator
    layer: Any = torch.nn.utils.skip_init(torch.nn.Linear, *weights.shape[::-1], bias=False, dtype=torch.float64)
    layer.weight.data = torch.tensor(np.array(weights))
    return layer
