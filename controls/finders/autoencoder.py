"""SparseAutoencoder: what SAE training returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from controls.core.dictionary import Dictionary
from controls.core.errors import InputError


@final
@dataclass(frozen=True, eq=False)
class SparseAutoencoder(Dictionary):
    """An encoder, a rule by which few latents are active, and a decoder. All arrays are read-only.

    Latents are ``act((x - input_bias) @ encoder_matrix.T + encoder_bias)``, the reconstruction
    ``latents @ decoder_matrix + output_bias``.

    Parameters
    ----------
    encoder_matrix : array of shape (m, d_in)
    encoder_bias : array of shape (m,)
    input_bias : array of shape (d_in,)
    decoder_matrix : array of shape (m, d_out)
    output_bias : array of shape (d_out,)
    k : int, optional
        The k largest latents of a row are kept, where positive (TopK).
    threshold : array of shape (m,), optional
        Latents above their thresholds are kept (JumpReLU; BatchTopK after training). Positive latents
        are kept where neither is given (ReLU).
    site_names, target_names : tuple of str
        The sites it reads and writes.
    notes : tuple of str
        What a report should say of how it was trained.
    """

    encoder_matrix: np.ndarray
    encoder_bias: np.ndarray
    input_bias: np.ndarray
    decoder_matrix: np.ndarray
    output_bias: np.ndarray
    k: int | None = None
    threshold: np.ndarray | None = None
    site_names: tuple[str, ...] = ()
    target_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def reads(self) -> tuple[str, ...]:
        """The sites it reads."""
        return self.site_names

    @property
    def writes(self) -> tuple[str, ...]:
        """The sites it reconstructs."""
        return self.target_names

    @property
    def decoder(self) -> np.ndarray:
        """What each latent adds to the reconstruction, shape (m, d_out)."""
        return self.decoder_matrix

    @property
    def encoder(self) -> np.ndarray:
        """By which directions latents are read, shape (m, d_in)."""
        return self.encoder_matrix

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a report should say of how it was trained."""
        return self.notes

    def encode(self, activations: np.ndarray) -> np.ndarray:
        """Return latents (n, m), float32, of activations (n, d_in)."""
        rows = np.asarray(activations, dtype=np.float32)
        if rows.ndim != 2 or rows.shape[1] != self.encoder_matrix.shape[1]:
            raise InputError(
                f"activations must have shape (n, {self.encoder_matrix.shape[1]}), as the SAE was trained on, "
                f"got {rows.shape}."
            )
        before = (rows - self.input_bias) @ self.encoder_matrix.T + self.encoder_bias
        if self.threshold is not None:
            return np.where(before > self.threshold, np.maximum(before, 0), np.float32(0))
        if self.k is None or self.k >= len(self.encoder_matrix):
            return np.maximum(before, 0)
        return _largest(before, self.k)

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """Return the reconstruction (n, d_out), float32, of latents (n, m)."""
        return np.asarray(latents, dtype=np.float32) @ self.decoder_matrix + self.output_bias


def _largest(before: np.ndarray, k: int) -> np.ndarray:
    """Return the k largest numbers of each row, where positive, and zeros elsewhere."""
    import torch

    values, places = torch.from_numpy(before).topk(k, dim=1, sorted=False)
    latents = torch.zeros(before.shape, dtype=values.dtype)
    return latents.scatter_(1, places, values.relu_()).numpy()
