"""Broken versions of controls on the finding: they say all that the sound one says, and draw otherwise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np

from controls.core.control import Control, FindingControl, Inference, TrainingControl
from controls.core.dictionary import DictionaryTrainer
from controls.core.problem import Problem
from controls.core.properties import Stated
from controls.core.trainer import Trainer
from controls.generators.directions import RandomDirections
from controls.generators.random_dictionary import RandomDictionary, UntrainedDictionary
from controls.generators.read_directions import read_directions
from controls.generators.shuffle_decoder import ShuffledDecoder, ShuffleDecoder
from controls.generators.surrogate_latents import SurrogateLatents


class _Said:
    """Says what the sound control says."""

    _sound: Any

    @property
    def inference(self) -> Inference:
        """That of the sound control."""
        return self._sound.inference

    @property
    def null(self) -> str:
        """That of the sound control."""
        return self._sound.null

    @property
    def licenses(self) -> str:
        """What the sound control licenses."""
        return self._sound.licenses

    @property
    def preserves(self) -> tuple[Stated, ...]:
        """What the sound control keeps."""
        return self._sound.preserves

    @property
    def destroys(self) -> tuple[Stated, ...]:
        """What the sound control destroys."""
        return self._sound.destroys


@final
@dataclass(frozen=True)
class DriftingDecoder(_Said, TrainingControl):
    """Claims to hold the decoder still, and lets it turn a little in training."""

    @property
    def _sound(self) -> RandomDictionary:
        return RandomDictionary()

    def check_trainer(self, trainer: Trainer) -> None:
        """Refuse what the sound one refuses."""
        self._sound.check_trainer(trainer)

    def held_back(self, trainer: Trainer, problem: Problem, rng: np.random.Generator) -> Trainer:
        """Return a trainer that is held softly."""
        return RandomDictionary(least_cosine=0.99).held_back(trainer, problem, rng)


@final
@dataclass(frozen=True)
class TakesSteps(_Said, TrainingControl):
    """Claims to leave a dictionary untrained, and trains it from another start."""

    @property
    def _sound(self) -> UntrainedDictionary:
        return UntrainedDictionary()

    def check_trainer(self, trainer: Trainer) -> None:
        """Refuse what the sound one refuses."""
        self._sound.check_trainer(trainer)

    def held_back(self, trainer: Trainer, problem: Problem, rng: np.random.Generator) -> Trainer:
        """Return the trainer as it is, started elsewhere."""
        return _Restarted(trainer, int(rng.integers(2**31)))


@final
@dataclass(frozen=True)
class _Restarted(Trainer):
    trainer: Trainer
    seed: int

    def fit(self, problem: Problem, rng: np.random.Generator) -> Any:
        """Return what is found from another start."""
        return self.trainer.fit(problem, np.random.Generator(np.random.PCG64(self.seed)))


@final
@dataclass(frozen=True)
class TakesAnyTrainer(_Said, TrainingControl):
    """Does not refuse a trainer that cannot be held, and then leaves it as it is."""

    @property
    def _sound(self) -> RandomDictionary:
        return RandomDictionary(hold="encoder")

    def held_back(self, trainer: Trainer, problem: Problem, rng: np.random.Generator) -> Trainer:
        """Return the held trainer, where it can be held."""
        held = isinstance(trainer, DictionaryTrainer)
        return self._sound.held_back(trainer, problem, rng) if held else trainer


@final
@dataclass(frozen=True)
class ForgetsTheFirstLatent(_Said, FindingControl):
    """Claims to shuffle the decoder, and leaves its first row."""

    @property
    def _sound(self) -> ShuffleDecoder:
        return ShuffleDecoder()

    def draw_finding(self, finding: Any, problem: Problem, rng: np.random.Generator) -> Any:
        """Return the dictionary with all rows but the first permuted."""
        return ShuffledDecoder(finding, np.append(0, 1 + rng.permutation(finding.n_latents - 1)))


@final
@dataclass(frozen=True)
class FiresTwiceAsOften(_Said, FindingControl):
    """Claims to keep firing rates, and lets a latent that fires seldom fire on more rows."""

    @property
    def _sound(self) -> SurrogateLatents:
        return SurrogateLatents()

    def draw_finding(self, finding: Any, problem: Problem, rng: np.random.Generator) -> Any:
        """Return surrogates of a dictionary with a lower threshold."""
        return self._sound.draw_finding(replace(finding, bias=finding.bias + 0.3), problem, rng)


@final
@dataclass(frozen=True)
class TurnsTheFinding(_Said, FindingControl):
    """Claims to draw directions at random, and draws them about the finding's own."""

    @property
    def _sound(self) -> RandomDirections:
        return RandomDirections()

    def draw_finding(self, finding: Any, problem: Problem, rng: np.random.Generator) -> Any:
        """Return the dictionary with its directions and some noise."""
        noisy = finding.decoder + rng.standard_normal(finding.decoder.shape)
        rows = noisy / np.linalg.norm(noisy, axis=1, keepdims=True)
        return read_directions(finding, rows, rows, problem)


BROKEN_FINDINGS: tuple[tuple[Control, str], ...] = (
    (DriftingDecoder(), "DriftingDecoder() claims to keep the decoder's directions as drawn"),
    (TakesSteps(), "TakesSteps() claims to keep the decoder's directions as drawn"),
    (TakesAnyTrainer(), "a trainer that is no DictionaryTrainer"),
    (FiresTwiceAsOften(), "claims to keep in how many rows each latent fires"),
    (TurnsTheFinding(), "claims to destroy where each direction points"),
    (ForgetsTheFirstLatent(), "claims to destroy which latent writes which direction"),
)
