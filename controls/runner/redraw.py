"""Redraws of findings: what a control on the finding fits, or changes, in the place of the trainer's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from controls.core.control import Control, FindingControl, TrainingControl
from controls.core.problem import Problem
from controls.core.trainer import Trainer
from controls.runner.draws import fold_stream

Fit = Callable[[Trainer], Any]


@dataclass(frozen=True)
class Redraw:
    """One draw of a control on the finding."""

    control: FindingControl | TrainingControl
    seed: int
    draw: int

    def finding(self, fold: int, training: Problem, trainer: Trainer, *, fit: Fit, observed: Callable[[], Any]) -> Any:
        """Return what this draw puts in the place of a fold's finding.

        ``fit(trainer)`` fits the fold's training rows from the fold's own stream, so that what is held
        back differs in nothing else; ``observed()`` is what was found without the control.
        """
        if isinstance(self.control, TrainingControl):
            return fit(self.held_back(fold, training, trainer))
        found, rng = observed(), self._stream(fold)
        if isinstance(found, tuple):  # of several seeds: each is changed in its own way
            return tuple(self.control.draw_finding(each, training, rng) for each in found)
        return self.control.draw_finding(found, training, rng)

    def held_back(self, fold: int, training: Problem, trainer: Trainer) -> Trainer:
        """Return the trainer that a control on training fits in the place of a fold's own."""
        assert isinstance(self.control, TrainingControl)
        return self.control.held_back(trainer, training, self._stream(fold))

    def _stream(self, fold: int) -> np.random.Generator:
        return fold_stream(self.seed, self.control, self.draw, fold)


def acts_on_findings(control: Control) -> bool:
    """Whether a control leaves the problem as it is and changes what is found."""
    return isinstance(control, (FindingControl, TrainingControl))
