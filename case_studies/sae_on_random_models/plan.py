"""Which models, which texts, and how large the SAEs are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import final

import controls as ct
from controls import Control

HERE = Path(__file__).parent
TRAINED, REAL = "trained", "real"
MODELS: dict[str, Control | None] = {
    TRAINED: None,
    "re-initialised": ct.Reinitialize(),
    "re-initialised, embeddings kept": ct.Reinitialize(exclude=("embeddings",)),
    "spectrum-matched": ct.MatchSpectrum(),
    "activation-matched": ct.MatchActivations(ct.Reinitialize()),
}
TEXTS: dict[str, Control | None] = {
    REAL: None,
    "bigrams kept": ct.ShuffleTokens(keep=2),
    "shuffled": ct.ShuffleTokens(),
    "unigram": ct.RandomTokens(),
}
CORNERS = [(model, text) for model in (TRAINED, "re-initialised") for text in (REAL, "shuffled")]
SCORES = {
    "explained": "explained variance",
    "entropy": "token entropy, nats",
    "excess": "token entropy above shuffled rows",
    "share": "token entropy as a share of that of shuffled rows",
    "stability": "agreement of two seeds",
    "alive": "share of latents that fire",
    "like_trained": "MMCS with the trained model's SAE",
}


@final
@dataclass(frozen=True)
class Plan:
    """One form of the table on the tiny model, and of what is seen of MiniLM and SmolLM2."""

    seeds: int  # trained models
    windows: int  # of text
    context: int
    layers: tuple[str, ...]
    latents: int
    k: int
    steps: int
    batch: int
    files: int  # of source that larger models read, 0 leaves them out
    draws: int  # of each control at MiniLM's four corner cells
    few: int  # draws of each of its other cells, and of SmolLM2's
    larger_latents: int
    larger_steps: int

    @property
    def sae(self) -> ct.finders.SAE:
        """The SAE of the tiny model."""
        return ct.finders.SAE(self.latents, k=self.k, steps=self.steps, batch_size=self.batch, lr=2e-3)

    @property
    def larger_sae(self) -> ct.finders.SAE:
        """The SAE of MiniLM and SmolLM2."""
        return ct.finders.SAE(self.larger_latents, k=24, steps=self.larger_steps, batch_size=self.batch, lr=2e-3)


FULL = Plan(
    seeds=6,
    windows=160,
    context=128,
    layers=("blocks.0", "blocks.2", "blocks.5"),
    latents=512,
    k=16,
    steps=400,
    batch=512,
    files=60,
    draws=19,
    few=2,
    larger_latents=768,
    larger_steps=250,
)
SHORT = Plan(
    seeds=3,
    windows=96,
    context=32,
    layers=("blocks.0", "blocks.1"),
    latents=64,
    k=4,
    steps=80,
    batch=256,
    files=0,
    draws=0,
    few=0,
    larger_latents=64,
    larger_steps=50,
)
