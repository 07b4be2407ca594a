"""The layers of this package as torch modules, so that their weights can be controlled."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch


class BitLayer(torch.nn.Module):
    """One hidden layer, ``activation(linear(x))``, in float64; ``linear`` has no bias where the layer has none.

    Parameters
    ----------
    weights : array of shape (d, m)
    bias : array of shape (d,), or None
    activation : str
        As in ``controls.ground_truth.Layer``.
    """

    def __init__(self, weights: np.ndarray, bias: np.ndarray | None, activation: str) -> None:
        super().__init__()
        d, m = weights.shape
        # skip_init: the initial values of Linear would come from torch's global generator
        self.linear: Any = torch.nn.utils.skip_init(torch.nn.Linear, m, d, bias=bias is not None, dtype=torch.float64)
        self.linear.weight.data = torch.tensor(weights)
        if bias is not None:
            self.linear.bias.data = torch.tensor(bias)
        self.activation = activation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the hidden layer (n, d) of inputs (n, m)."""
        z = self.linear(x)
        if self.activation == "relu":
            return torch.relu(z)
        if self.activation == "clipped":
            return z.clamp(0, 1)
        return z.square() if self.activation == "square" else z


def hidden_layer(module: torch.nn.Module, inputs: np.ndarray, noise: np.ndarray | None = None) -> np.ndarray:
    """Return ``module(inputs)`` as an array (n, d), plus the noise: the ``extract`` of the sources made here."""
    with torch.no_grad():
        hidden = module(torch.tensor(np.asarray(inputs), dtype=torch.float64)).numpy()
    return hidden if noise is None else hidden + noise
