"""SmallDictionary: a sparse autoencoder in numpy, small enough to try every control on the finding on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import numpy as np

from controls.core.dictionary import Dictionary, DictionaryTrainer
from controls.core.problem import Problem
from controls.core.validate import read_only


@final
@dataclass(frozen=True)
class SmallDictionary(DictionaryTrainer):
    """A ReLU dictionary, trained by full gradient steps on standardised activations.

    Parameters
    ----------
    latents : int
    steps : int
    lr, l1 : float
        Step size; penalty on latents.
    part : {"", "decoder", "encoder"}
        What is held, at ``directions`` (rows as tuples), as far as ``least_cosine``.
    """

    latents: int = 6
    steps: int = 30
    lr: float = 0.3
    l1: float = 0.05
    part: str = ""
    directions: tuple[tuple[float, ...], ...] = ()
    least_cosine: float = 1.0

    @property
    def n_latents(self) -> int:
        """Number of latents."""
        return self.latents

    def held(self, part: str, directions: np.ndarray, least_cosine: float = 1.0) -> SmallDictionary:
        """Return this trainer with a part held."""
        rows = tuple(tuple(row) for row in np.asarray(directions, dtype=np.float64).tolist())
        return replace(self, part=part, directions=rows, least_cosine=least_cosine)

    def untrained(self) -> SmallDictionary:
        """Return this trainer without steps."""
        return replace(self, steps=0)

    def fit(self, problem: Problem, rng: np.random.Generator) -> Dictionary:
        """Return the dictionary after all steps."""
        mean, scale = problem.X.mean(axis=0), float(problem.X.std())
        Z = (problem.X - mean) / scale
        start = _unit(rng.standard_normal((self.latents, problem.d)))
        fixed = {self.part: np.array(self.directions)} if self.part else {}
        D, E = fixed.get("decoder", start).copy(), fixed.get("encoder", start).copy()
        bias = np.zeros(self.latents)
        for _ in range(self.steps):
            latents = np.maximum(Z @ E.T + bias, 0)
            error = (latents @ D - Z) / len(Z)
            back = (error @ D.T + self.l1 / len(Z)) * (latents > 0)
            D = self._kept("decoder", _unit(D - self.lr * latents.T @ error), fixed)
            E = self._kept("encoder", E - self.lr * back.T @ Z, fixed)
            bias -= self.lr * back.sum(axis=0)
        return _Small(read_only(D), read_only(E), bias, mean, scale)

    def _kept(self, part: str, rows: np.ndarray, fixed: dict[str, np.ndarray]) -> np.ndarray:
        """Return rows, turned back to where they may be."""
        if part not in fixed:
            return rows
        axis, rows = fixed[part], _unit(rows)
        along = (rows * axis).sum(axis=1, keepdims=True)
        aside = _unit(rows - along * axis)
        edge = self.least_cosine * axis + np.sqrt(max(1 - self.least_cosine**2, 0.0)) * aside
        return np.where(along >= self.least_cosine, rows, edge) if self.least_cosine < 1 else axis


@final
@dataclass(frozen=True, eq=False)
class _Small(Dictionary):
    D: np.ndarray
    E: np.ndarray
    bias: np.ndarray
    mean: np.ndarray
    scale: float

    @property
    def decoder(self) -> np.ndarray:
        return self.D

    @property
    def encoder(self) -> np.ndarray:
        return self.E

    def encode(self, activations: np.ndarray) -> np.ndarray:
        return self.scale * np.maximum((activations - self.mean) / self.scale @ self.E.T + self.bias, 0)

    def decode(self, latents: np.ndarray) -> np.ndarray:
        return latents @ self.D + self.mean


def _unit(rows: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 0, lengths, 1.0)
