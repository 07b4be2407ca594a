"""What adapters of other libraries share: batches of a problem's rows, a torch module as a dictionary, held rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from controls.core.arrays import is_mapped, is_sparse
from controls.core.dictionary import Dictionary, as_dictionary, side_by_side
from controls.core.errors import InputError, TrainerError
from controls.core.problem import Problem
from controls.core.validate import as_activations, as_numpy, one_of, read_only, real_number


@final
@dataclass(frozen=True, eq=False)
class Found(Dictionary):
    """A dictionary of another library, with the sites it belongs to and what its library knows of it."""

    inner: Dictionary
    sites: tuple[str, ...] = ()
    encoder_matrix: np.ndarray | None = None
    notes: tuple[str, ...] = ()

    @property
    def reads(self) -> tuple[str, ...]:
        """The sites it reads, and reconstructs."""
        return self.sites

    @property
    def decoder(self) -> np.ndarray:
        """What each latent adds to the reconstruction, shape (m, d)."""
        return self.inner.decoder

    @property
    def encoder(self) -> np.ndarray | None:
        """By which directions latents are read, shape (m, d), where that is a matrix."""
        return self.encoder_matrix if self.encoder_matrix is not None else self.inner.encoder

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a report should say of it."""
        return self.notes + self.inner.remarks

    def encode(self, activations: np.ndarray) -> np.ndarray:
        """Return latents (n, m)."""
        width = self.decoder.shape[1]
        if activations.ndim != 2 or activations.shape[1] != width:
            raise InputError(
                f"activations must have shape (n, {width}), as the dictionary has, got {activations.shape}."
            )
        return self.inner.encode(activations)

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """Return the reconstruction (n, d)."""
        return self.inner.decode(latents)


def as_found(found: Any, width: int | None, sites: tuple[str, ...] = (), notes: tuple[str, ...] = ()) -> Found:
    """Return a finding as a dictionary of ``width`` features, or say what is wrong with it; it is tried on two rows."""
    if isinstance(found, torch.nn.Module):
        for name, each in found.named_parameters():
            if not bool(torch.isfinite(each).all()):
                raise TrainerError(f"training must end with finite numbers, got NaN or infinite ones in {name}.")
    inner = as_dictionary(found)
    if width is not None and inner.decoder.shape[1] != width:
        raise TrainerError(
            f"a dictionary of activations with {width} features must have a decoder (m, {width}), "
            f"got shape {inner.decoder.shape}."
        )
    result = Found(inner, sites, _encoder_of(found, inner.decoder.shape), notes)
    rows = np.zeros((2, inner.decoder.shape[1]), dtype=np.float32)
    reconstruction = result.decode(result.encode(rows))
    if reconstruction.shape != rows.shape or not np.isfinite(reconstruction).all():
        raise TrainerError(
            f"a dictionary must reconstruct rows of zeros by finite rows of shape {rows.shape}, "
            f"got shape {reconstruction.shape}, {int((~np.isfinite(reconstruction)).sum())} numbers not finite."
        )
    return result


def _encoder_of(found: Any, shape: tuple[int, ...]) -> np.ndarray | None:
    """Return the encoder matrix (m, d) of an object, by the names that people use."""
    layer, matrix = getattr(found, "encoder", None), getattr(found, "W_enc", None)
    if isinstance(layer, torch.nn.Linear):
        matrix = layer.weight.T  # a linear layer keeps (m, d)
    if not isinstance(matrix, Tensor) or matrix.ndim != 2:
        return None
    array = as_numpy(matrix.T, "encoder")
    return read_only(array) if array.shape == shape else None


def endless(problem: Problem, sites: tuple[str, ...], size: int, rng: np.random.Generator) -> Iterator[Tensor]:
    """Yield batches (size, d), float32, of rows drawn with replacement; never ends."""
    held = None if sites or is_sparse(problem.X) or is_mapped(problem.X) else torch.tensor(problem.X).float()
    while True:
        chosen = rng.integers(problem.n, size=size)
        if held is not None:
            yield held.index_select(0, torch.from_numpy(chosen))
        else:  # read as it is needed, in order, since it may be mapped from a file
            yield torch.tensor(side_by_side(problem, sites, np.sort(chosen)), dtype=torch.float32)


def width_of(problem: Problem, sites: tuple[str, ...]) -> int:
    """Return the number of features of the named sites side by side."""
    return int(side_by_side(problem, sites, np.arange(1)).shape[1])


@final
@dataclass(frozen=True, eq=False)
class Hold:
    """Which rows are held in training, where, and how far they may turn."""

    part: str
    directions: np.ndarray  # (m, d), rows of length 1
    least_cosine: float

    @classmethod
    def of(cls, part: str, directions: np.ndarray, least_cosine: float, n_latents: int) -> Hold:
        """Check what is to be held."""
        one_of(part, "part", ("decoder", "encoder"))
        rows = as_activations(directions, "directions").astype(np.float32)
        if len(rows) != n_latents or not rows.any(axis=1).all():
            raise InputError(
                f"directions must have one row other than zero for each of {n_latents} latents, got shape {rows.shape}."
            )
        real_number(least_cosine, "least_cosine", low=0, high=1, open_ends=False)
        return cls(part, read_only(rows / np.linalg.norm(rows, axis=1, keepdims=True)), least_cosine)

    @torch.no_grad()
    def start(self, decoder: Tensor, encoder: Tensor) -> None:
        """Lay rows (m, d) of the held part on the directions, at the length they have.

        The other part starts there too, where it was the same matrix up to the lengths of rows.
        """
        held, other = (decoder, encoder) if self.part == "decoder" else (encoder, decoder)
        if held.shape != self.directions.shape:
            raise InputError(f"directions must have the shape {tuple(held.shape)}, got {self.directions.shape}.")
        tied = torch.allclose(_unit(held), _unit(other), atol=1e-4)
        goal = torch.tensor(self.directions, dtype=held.dtype, device=held.device)
        held.copy_(goal * held.norm(dim=1, keepdim=True))
        if tied:
            other.copy_(goal * other.norm(dim=1, keepdim=True))

    @torch.no_grad()
    def keep(self, decoder: Tensor, encoder: Tensor) -> None:
        """Turn rows (m, d) of the held part back as far as they must; those within the cosine stay as they are."""
        rows = decoder if self.part == "decoder" else encoder
        goal = torch.tensor(self.directions, dtype=rows.dtype, device=rows.device)
        along = (rows * goal).sum(dim=1, keepdim=True)
        if self.least_cosine == 1:
            rows.copy_(goal * along.clamp_min(1e-8))
            return
        length = rows.norm(dim=1, keepdim=True)
        aside = rows - along * goal
        sine = (1 - self.least_cosine**2) ** 0.5
        back = length * (self.least_cosine * goal + sine * _unit(aside))
        rows.copy_(torch.where(along < self.least_cosine * length, back, rows))


def _unit(rows: Tensor) -> Tensor:
    return rows / rows.norm(dim=1, keepdim=True).clamp_min(1e-12)
