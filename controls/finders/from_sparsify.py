"""EleutherAI's sparsify as a finder. The only importer of sparsify."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch

from controls.core.dictionary import Dictionary, DictionaryTrainer, side_by_side
from controls.core.errors import CannotControl, InputError, InputTypeError, TrainerError
from controls.core.problem import Problem
from controls.core.trainer import Trainer
from controls.core.validate import read_only, real_number, whole_number
from controls.finders._undisturbed import undisturbed


@final
@dataclass(frozen=True, eq=False)
class SparseCoderDictionary(Dictionary):
    """A trained ``SparseCoder``; latents are dense rows of what it keeps sparse."""

    coder: Any
    matrix: np.ndarray

    @property
    def decoder(self) -> np.ndarray:
        """What each latent adds, shape (m, d)."""
        return self.matrix

    def encode(self, activations: np.ndarray) -> np.ndarray:
        """Return latents (n, m), float32."""
        with torch.no_grad():
            rows = torch.tensor(np.asarray(activations), dtype=torch.float32)
            found = self.coder.encode(rows)
            latents = torch.zeros((len(rows), len(self.matrix)))
            return latents.scatter_(1, found.top_indices, found.top_acts.float()).numpy()

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """Return the reconstruction (n, d), float32."""
        return np.asarray(latents, dtype=np.float32) @ self.matrix + self.coder.b_dec.detach().float().numpy()


@final
@dataclass(frozen=True, eq=False)
class Sparsify(DictionaryTrainer):
    """Trains a ``sparsify.SparseCoder`` on the problem's activations, by Adam on its fraction of variance unexplained.

    Parameters
    ----------
    config : sparsify.SparseCoderConfig
        Copied for each fit. Transcoders are not trained here.
    steps, batch_size : int
        Training steps, and rows of each, drawn with replacement.
    lr : float

    Notes
    -----
    The library's own ``Trainer`` wants a Hugging Face model and data set; this is its step at the level of tensors:
    decoder rows stay at length 1 where ``normalize_decoder``, the output bias starts at the rows' mean. Tested with
    1.3.3.

    Examples
    --------
    Where it is installed::

        from sparsify import SparseCoderConfig  # pyright: ignore[reportMissingImports]
        trainer = ct.finders.Sparsify(SparseCoderConfig(num_latents=64, k=4), steps=1000, batch_size=512)
    """

    config: Any
    steps: int = 1000
    batch_size: int = 1024
    lr: float = 1e-3

    def __post_init__(self) -> None:
        _library()
        if not hasattr(self.config, "num_latents") or not hasattr(self.config, "expansion_factor"):
            raise InputTypeError(f"config must be a sparsify.SparseCoderConfig, got {type(self.config).__name__}.")
        if getattr(self.config, "transcode", False):
            raise InputError("config must not have transcode=True; train transcoders with ct.finders.SAE(targets=...).")
        if not self.config.num_latents:
            raise InputError("config must have num_latents above 0, so that the number of latents is known.")
        whole_number(self.steps, "steps", low=1)
        whole_number(self.batch_size, "batch_size", low=1)
        real_number(self.lr, "lr", low=0, high=np.inf)

    @property
    def n_latents(self) -> int:  # type: ignore[override]
        """Number of latents."""
        return int(self.config.num_latents)

    @property
    def uses_threads(self) -> bool:
        """It uses all of torch's threads."""
        return True

    def held(self, part: str, directions: np.ndarray, least_cosine: float = 1.0) -> Trainer:
        """Refuse: not built."""
        raise CannotControl(f"sparsify cannot hold its {part} here; use ct.RandomDirections(), or ct.finders.SAE.")

    def untrained(self) -> Trainer:
        """Return the trainer that takes no step."""
        return _Untrained(self)

    def fit(self, problem: Problem, rng: np.random.Generator) -> Dictionary:
        """Return the dictionary of a problem's activations."""
        return self._trained(problem, rng, self.steps)

    def _trained(self, problem: Problem, rng: np.random.Generator, steps: int) -> Dictionary:
        from sparsify import SparseCoder  # pyright: ignore[reportMissingImports]

        rows = torch.tensor(side_by_side(problem, (), np.arange(problem.n)), dtype=torch.float32)
        seed = int(rng.integers(2**31))
        with undisturbed(seed):
            coder = SparseCoder(rows.shape[1], copy.deepcopy(self.config))
            coder.b_dec.data.copy_(rows.mean(dim=0))
            optimizer = torch.optim.Adam(coder.parameters(), lr=self.lr)
            for step in range(steps):
                loss = coder(rows[torch.randint(len(rows), (self.batch_size,))]).fvu
                if not torch.isfinite(loss):
                    raise TrainerError(f"training diverged: the loss is not finite at step {step}; lower lr=.")
                optimizer.zero_grad()
                loss.backward()
                if self.config.normalize_decoder:
                    coder.remove_gradient_parallel_to_decoder_directions()
                optimizer.step()
                if self.config.normalize_decoder:
                    coder.set_decoder_norm_to_unit_norm()
        coder.requires_grad_(False)
        return SparseCoderDictionary(coder, read_only(coder.W_dec.detach().float().numpy().copy()))


@final
@dataclass(frozen=True, eq=False)
class _Untrained(Trainer):
    trainer: Sparsify

    def fit(self, problem: Problem, rng: np.random.Generator) -> Dictionary:
        return self.trainer._trained(problem, rng, 0)


def _library() -> None:
    try:
        import sparsify  # noqa: F401  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise InputError("sparsify is not installed; pip install eai-sparsify (tested with 1.3.3).") from error
