"""Networks on Boolean inputs as torch modules, so that their weights can be controlled."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from controls.ground_truth.modules import hidden_layer


class TwoLayers(torch.nn.Module):
    """``readout(hidden(x))``, in float64.

    Parameters
    ----------
    hidden : torch.nn.Module
        From (n, m) to (n, d).
    readout : array of shape (k, d)
    offsets : array of shape (k,)
    """

    def __init__(self, hidden: torch.nn.Module, readout: np.ndarray, offsets: np.ndarray) -> None:
        super().__init__()
        k, d = readout.shape
        self.hidden = hidden
        # skip_init: the initial values of Linear would come from torch's global generator
        self.readout: Any = torch.nn.utils.skip_init(torch.nn.Linear, d, k, dtype=torch.float64)
        self.readout.weight.data = torch.tensor(readout)
        self.readout.bias.data = torch.tensor(offsets)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the outputs (n, k) of inputs (n, m)."""
        return self.readout(self.hidden(x))


def hidden_of(module: torch.nn.Module, inputs: np.ndarray) -> np.ndarray:
    """Return the hidden layer (n, d) of a network's inputs: the ``extract`` of its source."""
    hidden: Any = module.hidden
    return hidden_layer(hidden, inputs)
