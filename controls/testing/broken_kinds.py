"""A broken version of every kind of control: it says all that the sound one inside it says, and draws otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from controls.core.control import Control, Inference, LabelControl, Level
from controls.core.orbit import Orbit
from controls.core.problem import Problem
from controls.core.properties import Stated
from controls.core.sequences import rows_of_each, sequence_codes
from controls.generators.attachment import AttachmentTask
from controls.generators.bursts import RateMatchedLabels
from controls.generators.cells import ClusterTask
from controls.generators.inputs import InputBaseline
from controls.generators.labels import FlipSigns, ShuffleLabels
from controls.generators.random_labels import ControlTask, ResampleLabels
from controls.generators.sequences import ShiftLabels


@dataclass(frozen=True)
class Claims(Control):
    """Says what the sound control says."""

    @property
    def _sound(self) -> Control:
        raise NotImplementedError

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

    def start(self, problem: Problem, rng: np.random.Generator) -> Problem:
        """Return what draws of the sound control start from."""
        return self._sound.start(problem, rng)

    def orbit(self, problem: Problem) -> Orbit | None:
        """Return that of the sound control."""
        return self._sound.orbit(problem)

    def check(self, problem: Problem) -> None:
        """Refuse what the sound control refuses."""
        self._sound.check(problem)


@final
@dataclass(frozen=True)
class TurnsBackwards(Claims, LabelControl):
    """Claims to turn label sequences, but reads them backwards: order within them is not kept."""

    within: str = "document"

    @property
    def _sound(self) -> ShiftLabels:
        return ShiftLabels(within=self.within)

    def relabel(self, problem: Problem, rng: np.random.Generator) -> np.ndarray:
        """Return turned labels, each sequence from its end to its beginning."""
        labels = np.array(self._sound.relabel(problem, rng))
        for rows in rows_of_each(sequence_codes(problem, self.within)):
            labels[rows] = labels[rows][::-1]
        return labels


@final
@dataclass(frozen=True)
class CutsBursts(Claims, LabelControl):
    """Claims to keep bursts, but moves firing rows one by one."""

    within: str = "document"

    @property
    def _sound(self) -> RateMatchedLabels:
        return RateMatchedLabels(within=self.within)

    def relabel(self, problem: Problem, rng: np.random.Generator) -> np.ndarray:
        """Return labels whose firing rows lie anywhere in their group."""
        return RateMatchedLabels(within=self.within, bursts=False).relabel(problem, rng)


@final
@dataclass(frozen=True)
class ForgetsStrata(Claims, LabelControl):
    """Claims to move labels among rows of one word, but moves them within documents, whatever the word."""

    @property
    def _sound(self) -> ShuffleLabels:
        return ShuffleLabels(given="word")

    def relabel(self, problem: Problem, rng: np.random.Generator) -> np.ndarray:
        """Return labels shuffled within documents."""
        return ShuffleLabels(within="document").relabel(problem, rng)


@final
@dataclass(frozen=True)
class AttachesRows(Claims, LabelControl):
    """Claims to give every word one way to attach, but gives each row its own: no probe can memorise that."""

    @property
    def _sound(self) -> AttachmentTask:
        return AttachmentTask()

    def relabel(self, problem: Problem, rng: np.random.Generator) -> np.ndarray:
        """Return what a random way of each row gives it."""
        options = self._sound.attachment.options(problem)
        return options[np.arange(problem.n), rng.integers(3, size=problem.n)]


@final
@dataclass(frozen=True)
class MemorisesNothing(Claims, LabelControl):
    """Claims to give every word one random label, but gives each row its own: no probe can memorise that."""

    @property
    def _sound(self) -> ControlTask:
        return ControlTask(per="word")

    def relabel(self, problem: Problem, rng: np.random.Generator) -> np.ndarray:
        """Return labels of single rows, drawn from all."""
        return ResampleLabels().relabel(problem, rng)


@final
@dataclass(frozen=True)
class MeasuresAnew(Claims, LabelControl):
    """Claims to flip signs only, but exchanges the sizes of labels as well."""

    @property
    def _sound(self) -> FlipSigns:
        return FlipSigns()

    def relabel(self, problem: Problem, rng: np.random.Generator) -> np.ndarray:
        """Return labels with random signs, of rows in random order."""
        return rng.permutation(self._sound.relabel(problem, rng))


@final
@dataclass(frozen=True)
class MakesUpLabels(Claims, LabelControl):
    """Claims to draw from the labels there are, but writes one that nobody has."""

    @property
    def _sound(self) -> ResampleLabels:
        return ResampleLabels()

    def relabel(self, problem: Problem, rng: np.random.Generator) -> np.ndarray:
        """Return drawn labels, the first of them made up."""
        labels = np.array(self._sound.relabel(problem, rng))
        if labels.dtype.kind == "b":
            labels = labels.astype(np.int64)
        labels[0] = "" if labels.dtype.kind == "U" else np.max(problem.labels) + 7
        return labels


@final
@dataclass(frozen=True)
class ShufflesInput(Claims):
    """Claims to read the input of every row, but reads that of another one: there is nothing to beat."""

    level: ClassVar[Level] = "inputs"

    @property
    def _sound(self) -> InputBaseline:
        return InputBaseline()

    def draw(self, problem: Problem, rng: np.random.Generator) -> Problem:
        """Return the problem on the raw input, its rows in random order."""
        drawn = self._sound.draw(problem, rng)
        return drawn.with_activations(drawn.X[rng.permutation(problem.n)])


@final
@dataclass(frozen=True)
class KeepsHalf(Claims, LabelControl):
    """Claims to label cells at random, but leaves the first half of the rows as they are."""

    @property
    def _sound(self) -> ClusterTask:
        return ClusterTask(5)

    def relabel(self, problem: Problem, rng: np.random.Generator) -> np.ndarray:
        """Return labels of cells, and the observed ones in the first half."""
        labels = np.array(self._sound.relabel(problem, rng))
        half = problem.n // 2
        labels[:half] = np.asarray(problem.labels)[:half]
        return labels


BROKEN_KINDS: tuple[tuple[Control, str], ...] = (
    (TurnsBackwards(), "claims to keep the label sequence of each document, turned round in a circle"),
    (CutsBursts(), "claims to keep how long the bursts of each document are"),
    (ForgetsStrata(), "claims to keep how often each label occurs among the rows that agree in word"),
    (AttachesRows(), "claims to keep one way to attach for all rows of a word"),
    (MemorisesNothing(), "claims to keep one label for all rows of a word"),
    (MeasuresAnew(), "claims to keep the size of each label"),
    (MakesUpLabels(), "claims to keep the set of possible labels"),
    (KeepsHalf(), "KeepsHalf() claims to destroy which row has which label, but"),
    (ShufflesInput(), "must draw the same every time, since one draw stands for all"),
)
