"""Codes: which latents are active in a batch, and the products that go by them, forward and back.

Shapes have a stack of S SAEs first: rows (S, B, d), latents before selection (S, B, m), decoders (S, m, d).
Where few latents are active, everything behind the encoder's one dense product goes by the active ones.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from torch import Tensor


class Codes(ABC):
    """The active latents of a batch."""

    @abstractmethod
    def reconstruct(self, decoder: Tensor) -> Tensor:
        """Return the sums of decoder rows (S, m, d) by latents, shape (S, B, d)."""

    @abstractmethod
    def pulled_back(self, left: Tensor, decoder: Tensor) -> Tensor:
        """Return how the loss changes with each active latent, of its gradient (S, B, d) by the reconstruction."""

    @abstractmethod
    def summed(self, values: Tensor, rows: Tensor) -> Tensor:
        """Return, for each latent, the sum of rows (S, B, d) by values of the active latents, shape (S, m, d)."""

    @abstractmethod
    def totals(self, values: Tensor) -> Tensor:
        """Return the sums of values of the active latents over the batch, shape (S, m)."""

    @property
    @abstractmethod
    def values(self) -> Tensor:
        """The active latents."""


@final
@dataclass(frozen=True, eq=False)
class SparseCodes(Codes):
    """Active latents one after another, sorted by row: what TopK and BatchTopK leave."""

    shape: tuple[int, int, int]  # S, B, m
    latent: Tensor  # (N,), s · m + j
    row: Tensor  # (N,), s · B + b, rising
    value: Tensor  # (N,)

    def __post_init__(self) -> None:
        S, B, m = self.shape
        counts = torch.bincount(self.row, minlength=S * B)
        order = torch.argsort(self.latent)
        of_latent = torch.bincount(self.latent, minlength=S * m)
        object.__setattr__(self, "_starts", torch.cumsum(counts, 0) - counts)
        object.__setattr__(self, "_order", order)
        object.__setattr__(self, "_firsts", torch.cumsum(of_latent, 0) - of_latent)

    @property
    def values(self) -> Tensor:
        """The active latents, shape (N,)."""
        return self.value

    def reconstruct(self, decoder: Tensor) -> Tensor:
        """Return the sums of decoder rows by latents."""
        S, B, m = self.shape
        return _bags(self.latent, decoder.reshape(S * m, -1), self._starts, self.value).view(S, B, -1)  # type: ignore[attr-defined]

    def pulled_back(self, left: Tensor, decoder: Tensor) -> Tensor:
        """Return the inner product of each active latent's decoder row and its row of the gradient, shape (N,)."""
        S, B, m = self.shape
        return torch.ops.aten._embedding_bag_per_sample_weights_backward(
            left.reshape(S * B, -1),
            decoder.reshape(S * m, -1),
            self.latent,
            self._starts,  # type: ignore[attr-defined]
            self.row,
            0,  # the mode: sums
        )

    def summed(self, values: Tensor, rows: Tensor) -> Tensor:
        """Return sums of rows by latent."""
        S, B, m = self.shape
        order = self._order  # type: ignore[attr-defined]
        return _bags(self.row[order], rows.reshape(S * B, -1), self._firsts, values[order]).view(S, m, -1)  # type: ignore[attr-defined]

    def totals(self, values: Tensor) -> Tensor:
        """Return sums over the batch, by latent."""
        S, _, m = self.shape
        return values.new_zeros(S * m).index_add_(0, self.latent, values).view(S, m)


def _bags(which: Tensor, table: Tensor, starts: Tensor, weights: Tensor) -> Tensor:
    """Return weighted sums of the table's rows, those from each start to the next: a product with a sparse matrix."""
    return torch.nn.functional.embedding_bag(which, table, starts, per_sample_weights=weights, mode="sum")


@final
@dataclass(frozen=True, eq=False)
class DenseCodes(Codes):
    """All latents, most of them zero: what ReLU and JumpReLU leave, of which many may be active at first."""

    value: Tensor  # (S, B, m)

    @property
    def values(self) -> Tensor:
        """All latents, shape (S, B, m)."""
        return self.value

    def reconstruct(self, decoder: Tensor) -> Tensor:
        """Return the sums of decoder rows by latents."""
        return torch.bmm(self.value, decoder)

    def pulled_back(self, left: Tensor, decoder: Tensor) -> Tensor:
        """Return the inner products of all decoder rows and the gradient, shape (S, B, m)."""
        return torch.bmm(left, decoder.transpose(1, 2))

    def summed(self, values: Tensor, rows: Tensor) -> Tensor:
        """Return sums of rows by latent."""
        return torch.bmm(values.transpose(1, 2), rows)

    def totals(self, values: Tensor) -> Tensor:
        """Return sums over the batch, by latent."""
        return values.sum(dim=1)


def top_k(before: Tensor, k: Sequence[int]) -> SparseCodes:
    """Return the k largest latents of each row, where positive; ``k`` has one for each SAE."""
    S, B, m = before.shape
    most, same = max(k), len(set(k)) == 1
    value, place = before.topk(most, dim=2, sorted=not same)
    value = value.relu_()
    if not same:
        value *= torch.arange(most, device=before.device) < torch.tensor(k, device=before.device)[:, None, None]
    latent = place + m * torch.arange(S, device=before.device)[:, None, None]
    row = torch.arange(S * B, device=before.device).repeat_interleave(most)
    return SparseCodes((S, B, m), latent.reshape(-1), row, value.reshape(-1))


def batch_top_k(before: Tensor, k: Sequence[int]) -> tuple[SparseCodes, Tensor]:
    """Return the k · B largest latents of each SAE's whole batch, where positive, and the smallest of them (S,)."""
    S, B, m = before.shape
    whole = zip(before.reshape(S, B * m), k, strict=True)
    least = torch.stack([_smallest_of_largest(part, each * B) for part, each in whole]).clamp_min(0)
    positive = least.clamp_min(torch.finfo(least.dtype).tiny)
    place = (before >= positive[:, None, None]).view(-1).nonzero()[:, 0]
    row = place // m
    return SparseCodes((S, B, m), row // B * m + place % m, row, before.view(-1)[place]), least


def _smallest_of_largest(values: Tensor, count: int) -> Tensor:
    """Return the smallest of the ``count`` largest of many values, shape ()."""
    if values.device.type == "cpu":  # an order of magnitude faster there than torch's
        place = len(values) - count
        return values.new_tensor(np.partition(values.numpy(), place)[place])
    return values.topk(count, sorted=False).values.min()
