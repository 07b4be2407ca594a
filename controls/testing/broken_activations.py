"""A broken version of every control on activations: it says all that the sound one says, and draws otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from controls.core.control import Control, Level
from controls.core.problem import Problem
from controls.generators.activations import RotateActivations, ShuffleCoordinates
from controls.generators.covariances import MatchCovariances
from controls.generators.gaussian import GaussianActivations, MatchNorms
from controls.generators.phases import RandomizePhases
from controls.generators.planted import PlantDictionary
from controls.testing.broken_kinds import Claims


@dataclass(frozen=True)
class _Spoils(Claims):
    """Draws what the sound control draws, and spoils it."""

    level: ClassVar[Level] = "activations"

    def _spoilt(self, X: np.ndarray, problem: Problem, rng: np.random.Generator) -> np.ndarray:
        raise NotImplementedError

    def draw(self, problem: Problem, rng: np.random.Generator) -> Problem:
        """Return the spoilt draw."""
        drawn = self._sound.draw(problem, rng)
        return drawn.with_activations(self._spoilt(np.array(drawn.X), problem, rng))


@final
@dataclass(frozen=True)
class BootstrapsCoordinates(_Spoils):
    """Claims to permute each coordinate, but draws its values with replacement."""

    @property
    def _sound(self) -> ShuffleCoordinates:
        return ShuffleCoordinates()

    def _spoilt(self, X: np.ndarray, problem: Problem, rng: np.random.Generator) -> np.ndarray:
        rows = rng.integers(problem.n, size=X.shape)
        return np.take_along_axis(X, rows, axis=0)


@final
@dataclass(frozen=True)
class ShufflesRows(_Spoils):
    """Claims to permute coordinates within classes, but only turns each class round by one place or none."""

    @property
    def _sound(self) -> ShuffleCoordinates:
        return ShuffleCoordinates(within="document")

    def _spoilt(self, X: np.ndarray, problem: Problem, rng: np.random.Generator) -> np.ndarray:
        X, codes = np.array(problem.X), problem.codes("document")
        for code in range(int(codes.max()) + 1):
            rows = np.flatnonzero(codes == code)
            X[rows] = X[np.roll(rows, rng.integers(2))]
        return X


@final
@dataclass(frozen=True)
class Stretches(_Spoils):
    """Claims to turn all rows, but by a random matrix that is no rotation."""

    @property
    def _sound(self) -> RotateActivations:
        return RotateActivations()

    def _spoilt(self, X: np.ndarray, problem: Problem, rng: np.random.Generator) -> np.ndarray:
        return problem.X @ rng.standard_normal((problem.d, problem.d))


@final
@dataclass(frozen=True)
class DrawsFromTheLaw(_Spoils):
    """Claims to keep the sample's mean and covariance, but draws from the law that has them."""

    @property
    def _sound(self) -> GaussianActivations:
        return GaussianActivations()

    def _spoilt(self, X: np.ndarray, problem: Problem, rng: np.random.Generator) -> np.ndarray:
        return np.array(GaussianActivations("empirical").draw(problem, rng).X)


@final
@dataclass(frozen=True)
class TurnsAFewFar(_Spoils):
    """Claims to turn normal rows uniformly, but by noise of heavy tails: a few rows hold nearly all."""

    @property
    def _sound(self) -> GaussianActivations:
        return GaussianActivations()

    def null_rows(self, n: int, d: int, rng: np.random.Generator) -> np.ndarray | None:
        """Return those of the sound control."""
        return self._sound.null_rows(n, d, rng)

    def _spoilt(self, X: np.ndarray, problem: Problem, rng: np.random.Generator) -> np.ndarray:
        heavy = rng.standard_cauchy(X.shape)
        frame = np.linalg.qr(heavy - heavy.mean(axis=0))[0]
        centred = problem.X - problem.X.mean(axis=0)
        return problem.X.mean(axis=0) + frame @ np.linalg.qr(centred)[1]


@final
@dataclass(frozen=True)
class SwapsNorms(_Spoils):
    """Claims to keep the length of every row, but gives it that of another."""

    @property
    def _sound(self) -> MatchNorms:
        return MatchNorms("sphere")

    def _spoilt(self, X: np.ndarray, problem: Problem, rng: np.random.Generator) -> np.ndarray:
        return X[rng.permutation(problem.n)]


@final
@dataclass(frozen=True)
class PhasesOfTheirOwn(_Spoils):
    """Claims to keep cross spectra, but shifts every coordinate by phases of its own."""

    @property
    def _sound(self) -> RandomizePhases:
        return RandomizePhases("genre")

    def _spoilt(self, X: np.ndarray, problem: Problem, rng: np.random.Generator) -> np.ndarray:
        parts = [problem.with_activations(problem.X[:, [j]]) for j in range(problem.d)]
        return np.hstack([self._sound.draw(part, rng).X for part in parts])


@final
@dataclass(frozen=True)
class TooLarge(_Spoils):
    """Claims the covariances along each side, but draws half as much again."""

    @property
    def _sound(self) -> MatchCovariances:
        return MatchCovariances(("prompt", "place"))

    def _spoilt(self, X: np.ndarray, problem: Problem, rng: np.random.Generator) -> np.ndarray:
        return 1.5 * (X - X.mean(axis=0)) + X.mean(axis=0)


@final
@dataclass(frozen=True)
class MovesTheMean(_Spoils):
    """Claims to plant a dictionary under the same mean, but moves it."""

    latents: str = "latents"

    @property
    def _sound(self) -> PlantDictionary:
        return PlantDictionary(self.latents, noise=0.2)

    def _spoilt(self, X: np.ndarray, problem: Problem, rng: np.random.Generator) -> np.ndarray:
        return X + X.std(axis=0)


BROKEN_ACTIVATIONS: tuple[tuple[Control, str], ...] = (
    (BootstrapsCoordinates(), "claims to keep the values of each coordinate, but"),
    (ShufflesRows(), "claims to destroy which row has which activations within each document"),
    (Stretches(), "claims to keep the inner products of all rows"),
    (DrawsFromTheLaw(), "DrawsFromTheLaw() claims to keep the mean and covariance of the activations"),
    (TurnsAFewFar(), "rows of which its null is true do not rank anywhere among their draws"),
    (SwapsNorms(), "claims to keep the length of every row"),
    (PhasesOfTheirOwn(), "claims to keep the mean, and the power and cross spectra"),
    (MovesTheMean(), "MovesTheMean() claims to keep the mean and covariance of the activations"),
    (TooLarge(), "claims to keep the means of prompts, places and neurons, and covariances about them"),
)
