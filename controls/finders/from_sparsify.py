"""sparsify (EleutherAI): its sparse coders, trained on a problem's activations."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from controls.core.dictionary import Dictionary, DictionaryTrainer
from controls.core.errors import InputError, InputTypeError
from controls.core.problem import Problem
from controls.core.trainer import Trainer
from controls.core.validate import random_generator, real_number, site_names, whole_number
from controls.finders._undisturbed import imported, member, undisturbed

_PACKAGE = "eai-sparsify"


@final
@dataclass(frozen=True, eq=False)
class Sparsify(DictionaryTrainer):
    """Trains a ``sparsify.SparseCoder`` on the rows of a problem.

    Parameters
    ----------
    config : sparsify.SparseCoderConfig
        Such as ``SparseCoderConfig(num_latents=512, k=8)``. Copied; never changed.
    steps, batch_size : int
        Training steps, and rows of each, drawn with replacement.
    lr : float
        Adam's step size.
    auxk_alpha : float
        Weight of the loss that revives dead latents; 0: none.
    dead_after : int
        A latent that was not active for so many rows is dead.
    device : str
        A torch device.
    sites : tuple of str
        Sites of the problem to read, side by side; its only array where none is named.

    Raises
    ------
    InputError
        eai-sparsify is missing; a transcoder, a skip connection or no ``num_latents`` is asked for.
    TrainerError
        Training failed, or ended with numbers that are not finite.

    Notes
    -----
    sparsify's own ``Trainer`` wants a language model and its text. Here its coder, its initialization and its loss
    (unexplained variance, with AuxK and Multi-TopK where asked for) are trained by Adam in a short loop:
    decoder rows have length 1, their gradients no part along them, and the output bias starts at the mean
    of the first batch. So figures need not be those of sparsify's own recipe.

    Seeds come from the rng handed in; the random states of the process, its settings, variables and working
    folder are as before afterwards, also after an error.

    Examples
    --------
    >>> import controls as ct
    >>> ct.finders.Sparsify("topk")
    Traceback (most recent call last):
        ...
    controls.core.errors.InputTypeError: config must be a sparsify.SparseCoderConfig, got str.
    """

    config: Any
    steps: int = 1000
    batch_size: int = 1024
    lr: float = 1e-3
    auxk_alpha: float = 0.0
    dead_after: int = 10_000_000
    device: str = "cpu"
    sites: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.config, type) or not all(
            hasattr(self.config, name) for name in ("num_latents", "expansion_factor", "k", "transcode")
        ):
            got = self.config.__name__ if isinstance(self.config, type) else type(self.config).__name__
            raise InputTypeError(f"config must be a sparsify.SparseCoderConfig, got {got}.")
        if self.config.transcode or self.config.skip_connection:
            raise InputError(
                "config must be of an SAE, got transcode or skip_connection: latents alone say nothing there."
            )
        if not self.config.num_latents:
            raise InputError("config must have num_latents above 0, so that the number of latents is known.")
        for name in ("steps", "batch_size"):
            whole_number(getattr(self, name), name, low=1)
        whole_number(self.dead_after, "dead_after", low=1)
        real_number(self.lr, "lr", low=0, high=np.inf)
        real_number(self.auxk_alpha, "auxk_alpha", low=0, high=np.inf, open_ends=False)
        object.__setattr__(self, "config", copy.deepcopy(self.config))
        object.__setattr__(self, "sites", site_names(self.sites))

    @property
    def n_latents(self) -> int:
        """Number of latents m."""
        return int(self.config.num_latents)

    @property
    def reads(self) -> tuple[str, ...]:
        """The sites it reads, and reconstructs."""
        return self.sites

    @property
    def uses_threads(self) -> bool:
        """Always: global states are set and put back, so that only one may train at a time."""
        return True

    def fit(self, problem: Problem, rng: np.random.Generator) -> Dictionary:
        """Return the sparse coder of a problem's activations; its labels are not read."""
        return _train(self, problem, rng, self.steps, None)

    def held(self, part: str, directions: np.ndarray, least_cosine: float = 1.0) -> Trainer:
        """Return the trainer whose decoder or encoder stays at directions (m, d), or near, after each of its steps."""
        from controls.finders._module import Hold

        return _BackHeld(self, self.steps, Hold.of(part, directions, least_cosine, self.n_latents))

    def untrained(self) -> Trainer:
        """Return the trainer that takes no step."""
        return _BackHeld(self, 0, None)


@final
@dataclass(frozen=True, eq=False)
class _BackHeld(Trainer):
    """The same trainer, with rows held, or without training."""

    trainer: Sparsify
    steps: int
    hold: Any

    @property
    def reads(self) -> tuple[str, ...]:
        return self.trainer.reads

    @property
    def uses_threads(self) -> bool:
        return True

    def fit(self, problem: Problem, rng: np.random.Generator) -> Dictionary:
        return _train(self.trainer, problem, rng, self.steps, self.hold)


def _train(trainer: Sparsify, problem: Problem, rng: np.random.Generator, steps: int, hold: Any) -> Dictionary:
    from controls.finders._module import as_found, endless, width_of
    from controls.finders._sparse_coder import Dense

    width = width_of(problem, trainer.sites)
    with undisturbed(int(random_generator(rng).integers(2**31)), _PACKAGE):
        made = member(imported("sparsify", _PACKAGE), "SparseCoder", _PACKAGE)
        coder = made(width, copy.deepcopy(trainer.config), device=trainer.device)
        _loop(coder, trainer, endless(problem, trainer.sites, trainer.batch_size, rng), steps, hold)
        return as_found(Dense(coder), width, trainer.sites)


def _loop(coder: Any, trainer: Sparsify, batches: Any, steps: int, hold: Any) -> None:
    """Train by Adam; a latent's idle rows are counted for the loss that revives dead ones."""
    import torch

    first = next(batches).to(trainer.device)
    coder.b_dec.data = first.mean(dim=0)
    parts = (coder.W_dec.data, coder.encoder.weight.data)
    if hold is not None:
        hold.start(*parts)
    optimizer = torch.optim.Adam(coder.parameters(), lr=trainer.lr)
    idle = torch.zeros(coder.num_latents, dtype=torch.long, device=trainer.device)
    for _ in range(steps):
        rows = next(batches).to(trainer.device)
        out = coder(rows, dead_mask=idle >= trainer.dead_after if trainer.auxk_alpha else None)
        (out.fvu + trainer.auxk_alpha * out.auxk_loss + out.multi_topk_fvu / 8).backward()
        idle += len(rows)
        idle[out.latent_indices.flatten()] = 0
        if coder.cfg.normalize_decoder:
            coder.remove_gradient_parallel_to_decoder_directions()
        optimizer.step()
        optimizer.zero_grad()
        if coder.cfg.normalize_decoder:
            coder.set_decoder_norm_to_unit_norm()
        if hold is not None:
            hold.keep(*parts)
