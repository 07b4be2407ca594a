"""The sizes of the synthetic test, and which SAEs are trained how often."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import final

import numpy as np

import controls as ct
from controls.ground_truth import PlantedDictionary, RareFeatures, log_uniform_rates, random_directions

HERE = Path(__file__).parent
CONSTANT, VARIABLE = "constant", "variable"
# Korznikov et al. (2026): explained variance, and the share of 3,200 features with a cosine above .8; None: not given.
THEIRS: dict[tuple[str, str], tuple[float | None, float | None]] = {
    (CONSTANT, "BatchTopK"): (0.67, 3 / 3200),
    (CONSTANT, "TopK"): (None, 0.999),
    (VARIABLE, "BatchTopK"): (0.71, 0.09),
    (VARIABLE, "JumpReLU"): (None, 0.07),
    (VARIABLE, "TopK"): (None, 0.43),
}


@final
@dataclass(frozen=True)
class Plan:
    """One form of the test.

    Parameters
    ----------
    d, m, active : int
        Dimensions, features (and latents), and features of a row on average.
    steps, batch, lr
        Of training; every row is seen once.
    worlds : dict of (setting, kind) to int
        How many worlds, each with directions of its own and one SAE.
    penalty : dict of str to float
        Of the kinds that have no k, chosen so that about as many latents are active.
    scored : int
        Fresh rows on which explained variance is taken.
    sweep : tuple of float
        Step sizes to try at the size of the short form.
    """

    d: int
    m: int
    active: int
    steps: int
    batch: int
    lr: float
    worlds: dict[tuple[str, str], int]
    penalty: dict[str, float] = field(default_factory=lambda: {"JumpReLU": 1.0, "ReLU": 1.0})
    scored: int = 4000
    sweep: tuple[float, ...] = ()

    def world(self, setting: str, rng: np.random.Generator) -> PlantedDictionary:
        """Return a world: features equally often active, or at rates that are log-uniform over four decades."""
        rates = np.ones(self.m) if setting == CONSTANT else log_uniform_rates(self.m, rng)
        directions = random_directions(self.m, self.d, rng)
        return PlantedDictionary(directions, RareFeatures(rates * self.active / rates.sum()))

    def sae(self, kind: str) -> ct.finders.SAE:
        """Return the trainer of a kind."""
        settings = {"steps": self.steps, "batch_size": self.batch, "lr": self.lr}
        if kind == "TopK":
            return ct.finders.SAE(self.m, k=self.active, **settings)
        if kind == "BatchTopK":
            return ct.finders.SAE(self.m, k=self.active, activation="batchtopk", **settings)
        activation = "jumprelu" if kind == "JumpReLU" else "relu"
        return ct.finders.SAE(self.m, activation=activation, sparsity=self.penalty[kind], **settings)


FULL = Plan(
    d=100,
    m=3200,
    active=20,
    steps=12_000,
    batch=1024,
    lr=3e-3,
    worlds={
        (CONSTANT, "TopK"): 5,
        (CONSTANT, "BatchTopK"): 5,
        (VARIABLE, "TopK"): 1,
        (VARIABLE, "BatchTopK"): 1,
    },
    sweep=(1e-3, 3e-3, 1e-2),
)
SHORT = Plan(
    d=24,
    m=768,
    active=5,
    steps=1200,
    batch=512,
    lr=1e-2,
    worlds={(CONSTANT, "TopK"): 2, (CONSTANT, "BatchTopK"): 2, (VARIABLE, "TopK"): 1},
)
