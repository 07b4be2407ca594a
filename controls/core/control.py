"""Control: draws a changed problem that keeps some properties of the observed one and destroys one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal

import numpy as np

from controls.core.orbit import Orbit
from controls.core.problem import Problem
from controls.core.properties import Stated
from controls.core.trainer import Trainer

Level = Literal["labels", "inputs", "weights", "activations", "finding"]
Inference = Literal["exact", "ensemble", "paired"]


class Control(ABC):
    """Draws a changed problem. Concrete controls are frozen dataclasses.

    A control states its ``level``, what it ``preserves`` and ``destroys`` (properties that the test
    kit executes), its ``null`` hypothesis as one sentence, what surviving it ``licenses`` one to
    say, and its ``inference``: "exact" (under the null, observed and draws are exchangeable),
    "ensemble" (p is the rank among draws of a stated ensemble) or "paired" (there is one draw, and
    the two are compared unit by unit).
    """

    level: ClassVar[Level]

    @property
    @abstractmethod
    def inference(self) -> Inference:
        """Whether p-values are exact under the null, ranks among an ensemble, or of one paired comparison."""

    @property
    @abstractmethod
    def null(self) -> str:
        """The null hypothesis, as one sentence."""

    @property
    @abstractmethod
    def licenses(self) -> str:
        """What surviving this control licenses one to say, as one sentence."""

    @property
    @abstractmethod
    def preserves(self) -> tuple[Stated, ...]:
        """The properties that every draw shares with the problem."""

    @property
    @abstractmethod
    def destroys(self) -> tuple[Stated, ...]:
        """The properties that draws have by chance only."""

    @property
    def name(self) -> str:
        """The control's name: that of its class."""
        return type(self).__name__

    @property
    def drawn_like(self) -> Control:
        """The control whose random streams this one draws from: its own, but where several are to share their draws."""
        return self

    def start(self, problem: Problem, rng: np.random.Generator) -> Problem:
        """Return what all draws of one comparison start from: the problem itself, but for chains that have a hub.

        Asked for once per comparison, with a stream of its own; ``draw(start, rng)`` goes on from there.
        """
        return problem

    @abstractmethod
    def draw(self, problem: Problem, rng: np.random.Generator) -> Problem:
        """Return a changed copy of the problem; the problem itself stays as it is."""

    def check(self, problem: Problem) -> None:  # noqa: B027 - most controls can draw from anything
        """Raise InputError or CannotControl where this control cannot say anything about the problem."""

    def orbit(self, problem: Problem) -> Orbit | None:
        """Return the distinct draws, where they can be counted; None where draws are endless."""
        return None

    def types(self, problem: Problem) -> np.ndarray | None:
        """Return the type of each row, shape (n,), where a draw gives all rows of a type one label; else None."""
        return None

    def caveats(self, problem: Problem, rng: np.random.Generator) -> tuple[str, ...]:
        """Return the reasons why draws and observed are not exchangeable on this problem, in words."""
        return ()

    def integrity(self, problem: Problem, train: np.ndarray, test: np.ndarray) -> dict[str, float]:
        """Return named figures about one split that help to read this control's scores."""
        return {}


class LabelControl(Control):
    """A control on labels: everything else stays, so many draws can share one fit of the activations.

    One that only moves labels about, without reading them, sets ``moves_labels_only = True``: it then
    takes labels of several columns too, as the numbers of the sets of labels that rows have.
    """

    level: ClassVar[Level] = "labels"
    moves_labels_only: ClassVar[bool] = False

    @abstractmethod
    def relabel(self, problem: Problem, rng: np.random.Generator) -> np.ndarray:
        """Return labels of shape (n,), drawn."""

    def draw(self, problem: Problem, rng: np.random.Generator) -> Problem:
        """Return the problem with drawn labels."""
        return problem.with_labels(self.relabel(problem, rng))


class IndexControl(LabelControl):
    """A control on labels that only returns row indices; the rest is written here, once."""

    moves_labels_only: ClassVar[bool] = True

    @abstractmethod
    def order(self, problem: Problem, rng: np.random.Generator) -> np.ndarray:
        """Return row indices of shape (n,): row i takes the label of row order[i]."""

    def relabel(self, problem: Problem, rng: np.random.Generator) -> np.ndarray:
        """Return the labels in the drawn order."""
        return np.asarray(problem.labels)[self.order(problem, rng)]


class FindingControl(Control):
    """A control on what the technique returned: the problem stays, and ``draw_finding`` changes the finding.

    Nothing is fitted again: every fold's finding is changed, and scored as it was.
    """

    level: ClassVar[Level] = "finding"

    @abstractmethod
    def draw_finding(self, finding: Any, problem: Problem, rng: np.random.Generator) -> Any:
        """Return a changed copy of a finding; ``problem`` has the rows that it was fitted to."""

    def draw(self, problem: Problem, rng: np.random.Generator) -> Problem:
        """Return the problem as it is."""
        return problem


class TrainingControl(Control):
    """A control on the technique: the problem stays, and the trainer is held back before it is fitted anew."""

    level: ClassVar[Level] = "finding"

    def check_trainer(self, trainer: Trainer) -> None:
        """Raise CannotControl where this trainer cannot be held back in this way."""

    @abstractmethod
    def held_back(self, trainer: Trainer, problem: Problem, rng: np.random.Generator) -> Trainer:
        """Return the trainer to fit in the place of ``trainer``; ``problem`` has the rows that it will be fitted to."""

    def draw(self, problem: Problem, rng: np.random.Generator) -> Problem:
        """Return the problem as it is."""
        return problem


def describe(control: Any) -> str:
    """Return a control, or a trainer, as it would be typed, without parameters at their defaults."""
    from dataclasses import MISSING, fields

    if hasattr(control, "parts"):
        return f"compose({', '.join(map(describe, control.parts))})"
    shown = []
    for item in fields(control):
        value = getattr(control, item.name)
        default = item.default if item.default is not MISSING else None
        if isinstance(value, np.ndarray):
            shown.append(f"{item.name}=array{value.shape}")
        elif value != default:
            shown.append(f"{item.name}={describe(value) if isinstance(value, Control) else repr(value)}")
    return f"{type(control).__name__}({', '.join(shown)})"
