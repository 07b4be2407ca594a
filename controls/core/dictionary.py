"""Dictionary: directions that activations are taken apart into, and how; what SAEs, PCA and transcoders find."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from controls.core.arrays import dense_rows
from controls.core.errors import InputError, InputTypeError, TrainerError
from controls.core.problem import Problem
from controls.core.trainer import Trainer
from controls.core.validate import as_numpy, read_only

_LATENTS_AT_ONCE = 1 << 24  # numbers of a block of latents


class Dictionary(ABC):
    """A finding: m directions, with an ``encode`` and a ``decode``. Concrete ones are frozen.

    Activations are read at the sites ``reads`` and reconstructed at the sites ``writes``, side by side
    in this order; no names stand for the problem's only array. A transcoder writes elsewhere than it
    reads; a crosscoder reads and writes several.
    """

    @property
    def reads(self) -> tuple[str, ...]:
        """The sites it reads; none where the problem's only array is meant."""
        return ()

    @property
    def writes(self) -> tuple[str, ...]:
        """The sites it reconstructs: those it reads, but for a transcoder."""
        return self.reads

    @property
    @abstractmethod
    def decoder(self) -> np.ndarray:
        """What each latent adds to the reconstruction, shape (m, d_out); read-only."""

    @property
    def encoder(self) -> np.ndarray | None:
        """By which directions latents are read, shape (m, d_in), read-only; None where it has no such matrix."""
        return None

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a report should say of how it was found, such as that training stopped early; mostly nothing."""
        return ()

    @abstractmethod
    def encode(self, activations: np.ndarray) -> np.ndarray:
        """Return latents (n, m) of activations (n, d_in)."""

    @abstractmethod
    def decode(self, latents: np.ndarray) -> np.ndarray:
        """Return the reconstruction (n, d_out) of latents (n, m)."""

    # -- written once, of the above ------------------------------------------------------------

    @property
    def n_latents(self) -> int:
        """Number of latents m."""
        return len(self.decoder)

    @property
    def directions(self) -> np.ndarray:
        """The decoder's rows at length 1, shape (m, d_out), float64; rows of zeros stay so."""
        decoder = np.asarray(self.decoder, dtype=np.float64)
        lengths = np.linalg.norm(decoder, axis=1, keepdims=True)
        return decoder / np.where(lengths > 0, lengths, 1.0)

    def blocks(self, problem: Problem) -> Iterator[Block]:
        """Yield the problem's rows in blocks, taken apart and put together again.

        Memory: about 16 million latents at a time, whatever the rows.
        """
        size = max(1, _LATENTS_AT_ONCE // max(self.n_latents, 1))
        for start in range(0, problem.n, size):
            rows = np.arange(start, min(start + size, problem.n))
            latents = self.encode(side_by_side(problem, self.reads, rows))
            yield Block(rows, latents, self.decode(latents), side_by_side(problem, self.writes, rows))

    def latents(self, problem: Problem) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield row indices (b,) and their latents (b, m), in blocks, without decoding them."""
        size = max(1, _LATENTS_AT_ONCE // max(self.n_latents, 1))
        for start in range(0, problem.n, size):
            rows = np.arange(start, min(start + size, problem.n))
            yield rows, self.encode(side_by_side(problem, self.reads, rows))


@final
@dataclass(frozen=True, eq=False)
class Block:
    """Some rows, taken apart and put together again."""

    rows: np.ndarray  # (b,) indices
    latents: np.ndarray  # (b, m)
    reconstruction: np.ndarray  # (b, d_out)
    targets: np.ndarray  # (b, d_out), what it should be


class DictionaryTrainer(Trainer):
    """A trainer whose findings are dictionaries, and which can be held back: what controls on the finding need."""

    n_latents: int  # m, that it is asked for

    @property
    def writes(self) -> tuple[str, ...]:
        """The sites its findings reconstruct."""
        return self.reads

    @abstractmethod
    def held(self, part: str, directions: np.ndarray, least_cosine: float = 1.0) -> Trainer:
        """Return this trainer with its decoder or encoder held at given directions; everything else is trained.

        Parameters
        ----------
        part : {"decoder", "encoder"}
        directions : array of shape (m, d)
            Where its rows start, at length 1.
        least_cosine : float
            Rows may turn as far as this cosine with where they started; 1 holds them still.

        Raises
        ------
        CannotControl
            Where this trainer cannot do that.
        """

    @abstractmethod
    def untrained(self) -> Trainer:
        """Return the trainer that takes no training step: its findings are what training starts from."""


def side_by_side(problem: Problem, sites: tuple[str, ...], rows: np.ndarray) -> np.ndarray:
    """Return some rows of the named sites side by side, shape (b, d), dense; of the only array where none is named."""
    if not sites:
        return dense_rows(problem.X, rows)
    return np.concatenate([dense_rows(problem.array_at(site), rows) for site in sites], axis=1)


def remarks_of(found: Any) -> tuple[str, ...]:
    """Return what a finding, or each of several, has to say of how it was found; nothing where it is no dictionary."""
    if isinstance(found, tuple):
        return tuple(remark for each in found for remark in remarks_of(each))
    return found.remarks if isinstance(found, Dictionary) else ()


def as_dictionary(found: Any) -> Dictionary:
    """Return the dictionary that an object stands for.

    Parameters
    ----------
    found : Dictionary, array of shape (m, d), or object with ``encode`` and ``decode``
        An array is a decoder, whose latents are its inner products with activations, where positive; so is an object
        that has a decoder and computes nothing. An object may take and return numpy arrays or torch tensors; its
        decoder is looked for as ``decoder`` (an array, or a linear layer), ``W_dec`` (m, d) or
        ``decoder_``/``components_``. Decompositions of scikit-learn ``transform`` and ``inverse_transform``.

    Raises
    ------
    InputTypeError
        Anything else.
    TrainerError
        A decoder that is not finite, or not a matrix.

    Examples
    --------
    >>> import numpy as np
    >>> as_dictionary(np.eye(3)).encode(np.array([[1.0, -2.0, 3.0]]))
    array([[1., 0., 3.]])
    """
    if isinstance(found, Dictionary):
        return found
    if isinstance(found, np.ndarray) or (hasattr(found, "detach") and hasattr(found, "cpu")):
        return _Directions(_checked_decoder(found))
    if _has(found, "encode", "decode"):
        return _Duck(found, _decoder_of(found), "encode", "decode")
    if _has(found, "transform", "inverse_transform") and hasattr(found, "components_"):
        return _Duck(found, _decoder_by_trial(found), "transform", "inverse_transform")
    matrix = _matrix_of(found)
    if matrix is not None and (callable(found) or _has(found, "transform")):
        raise InputTypeError(
            f"a finding that computes, such as this {type(found).__name__}, must have encode and decode, so that its "
            "latents can be told; or return its decoder matrix (m, d) alone."
        )
    if matrix is not None:
        return _Directions(_checked_decoder(matrix))
    raise InputTypeError(
        "a finding must be a dictionary: a Dictionary, a decoder matrix (m, d), or an object with encode and "
        f"decode, got {type(found).__name__}."
    )


@final
@dataclass(frozen=True, eq=False)
class _Directions(Dictionary):
    """A decoder matrix alone: latents are inner products, where positive."""

    matrix: np.ndarray

    @property
    def decoder(self) -> np.ndarray:
        return self.matrix

    @property
    def encoder(self) -> np.ndarray:
        return self.matrix

    def encode(self, activations: np.ndarray) -> np.ndarray:
        _same_width(activations, self.matrix.shape[1])
        return np.maximum(activations @ self.matrix.T, 0)

    def decode(self, latents: np.ndarray) -> np.ndarray:
        return latents @ self.matrix


@final
@dataclass(frozen=True, eq=False)
class _Duck(Dictionary):
    """Somebody else's object with encode and decode, by whatever names, in numpy or torch."""

    found: Any
    matrix: np.ndarray
    taking_apart: str
    putting_together: str

    @property
    def decoder(self) -> np.ndarray:
        return self.matrix

    def encode(self, activations: np.ndarray) -> np.ndarray:
        latents = self._asked(self.taking_apart, activations)
        if latents.shape != (len(activations), len(self.matrix)):
            raise TrainerError(
                f"{self.taking_apart} must return latents of shape {(len(activations), len(self.matrix))}, "
                f"got {latents.shape}."
            )
        return latents

    def decode(self, latents: np.ndarray) -> np.ndarray:
        reconstruction = self._asked(self.putting_together, latents)
        if reconstruction.shape != (len(latents), self.matrix.shape[1]):
            raise TrainerError(
                f"{self.putting_together} must return activations of shape {(len(latents), self.matrix.shape[1])}, "
                f"got {reconstruction.shape}."
            )
        return reconstruction

    def _asked(self, method: str, given: np.ndarray) -> np.ndarray:
        like = _tensor_like(self.found)
        if like is None:
            return as_numpy(getattr(self.found, method)(given), f"what {method} returned")
        import torch

        with torch.no_grad(), _evaluating(self.found):
            tensor = torch.tensor(given).to(like)  # a copy: what is read-only would make torch warn
            return as_numpy(getattr(self.found, method)(tensor), f"what {method} returned")


@contextmanager
def _evaluating(found: Any) -> Iterator[None]:
    """Put a torch module into evaluation mode while this lasts, and every part back into its own."""
    modes = {each: each.training for each in found.modules()} if callable(getattr(found, "modules", None)) else {}
    if any(modes.values()):
        found.eval()
    try:
        yield
    finally:
        for each, mode in modes.items():
            each.training = mode


def _tensor_like(found: Any) -> Any:
    """Return a floating tensor of an object, whose type and device it wants; None of one of arrays."""
    if not callable(getattr(found, "parameters", None)):
        matrix = _matrix_of(found)
        return matrix if hasattr(matrix, "detach") else None
    return next((each for each in found.parameters() if each.is_floating_point()), None)


def _has(found: Any, *methods: str) -> bool:
    return all(callable(getattr(found, name, None)) for name in methods)


def _decoder_by_trial(found: Any) -> np.ndarray:
    """Return what each latent of a decomposition adds, whatever its attributes are scaled or mixed by."""
    m = len(found.components_)
    return _checked_decoder(found.inverse_transform(np.eye(m)) - found.inverse_transform(np.zeros((m, m))))


def _decoder_of(found: Any) -> np.ndarray:
    matrix = _matrix_of(found)
    if matrix is None:
        raise InputTypeError(
            f"a finding with encode and decode must have its decoder as an array decoder or W_dec (m, d), got a "
            f"{type(found).__name__} without."
        )
    return _checked_decoder(matrix)


def _matrix_of(found: Any) -> Any:
    """Return the decoder matrix (m, d) of an object, by the names that people use; None where there is none."""
    layer = getattr(found, "decoder", None)
    if layer is not None and hasattr(layer, "weight") and hasattr(layer, "in_features"):
        return layer.weight.T  # a linear layer keeps (d, m)
    for name in ("decoder", "W_dec", "decoder_", "components_"):
        matrix = getattr(found, name, None)
        if hasattr(matrix, "shape") and len(matrix.shape) == 2:  # type: ignore[union-attr]
            return matrix
    return None


def _checked_decoder(matrix: Any) -> np.ndarray:
    array = as_numpy(matrix, "decoder")
    if array.ndim != 2 or not array.size:
        raise TrainerError(f"a decoder must be a matrix (m latents, d features), got shape {array.shape}.")
    if not np.isfinite(array).all():
        bad = int(array.size - np.isfinite(array).sum())
        raise TrainerError(f"a decoder must be finite, got {bad} NaN or infinite numbers of {array.size}.")
    return read_only(array if array.dtype.kind == "f" else array.astype(np.float64))


def _same_width(activations: np.ndarray, d: int) -> None:
    if activations.shape[1] != d:
        raise InputError(f"activations must have the dictionary's {d} features, got {activations.shape[1]}.")
