"""A coder that encodes into k values and their places, as a module with dense latents."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class Dense(torch.nn.Module):
    """A ``sparsify.SparseCoder`` with latents (n, m)."""

    def __init__(self, coder: Any) -> None:
        super().__init__()
        self.coder = coder
        self.encoder = coder.encoder  # a linear layer
        self.W_dec = coder.W_dec

    def encode(self, activations: Tensor) -> Tensor:
        """Return latents (n, m), zero but in k places of each row."""
        values, places, _ = self.coder.encode(activations)
        latents = torch.zeros(len(activations), self.coder.num_latents, dtype=values.dtype, device=values.device)
        return latents.scatter(1, places, values)

    def decode(self, latents: Tensor) -> Tensor:
        """Return the reconstruction (n, d)."""
        return latents @ self.coder.W_dec + self.coder.b_dec
