"""compose: the control that applies one control after another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from controls.core.control import Control, Inference
from controls.core.errors import InputError, InputTypeError
from controls.core.exchangeability import IndexExchangeability
from controls.core.orbit import Orbit
from controls.core.problem import Problem
from controls.core.properties import Stated
from controls.core.rng import stream


@final
@dataclass(frozen=True)
class Composed(Control):
    """Applies its parts from left to right. Made by :func:`compose`."""

    parts: tuple[Control, ...]

    @property
    def level(self) -> str:  # type: ignore[override]
        """Labels where all parts are on labels; else the outermost other level that a part changes."""
        order = ("inputs", "weights", "activations", "finding")
        others = {part.level for part in self.parts} - {"labels"}
        return min(others, key=order.index) if others else "labels"

    @property
    def moves_labels_only(self) -> bool:
        """Whether no part reads the labels that it moves."""
        return all(getattr(part, "moves_labels_only", part.level != "labels") for part in self.parts)

    @property
    def _widest(self) -> Control | None:
        """The part whose group of rearrangements contains those of all others, if there is one.

        A uniform draw from a group, before or after any fixed or random element of it, is uniform
        over that group: then the composition is as exact as its widest part.
        """
        groups = [getattr(part, "restriction", None) for part in self.parts]
        known = [group for group in groups if isinstance(group, IndexExchangeability)]
        for part, group in zip(self.parts, known, strict=False):
            if len(known) == len(groups) and all(group.contains(other) for other in known):
                return part
        return None

    @property
    def inference(self) -> Inference:
        """Exact only where the composition is uniform over one group."""
        return "ensemble" if self._widest is None else self._widest.inference

    @property
    def null(self) -> str:
        """The nulls of the parts, together."""
        return " And then: ".join(part.null for part in self.parts)

    @property
    def licenses(self) -> str:
        """What surviving the composition licenses one to say."""
        return " Together with: ".join(part.licenses for part in self.parts)

    @property
    def name(self) -> str:
        """The names of the parts, in the order in which they are applied."""
        return " then ".join(part.name for part in self.parts)

    @property
    def preserves(self) -> tuple[Stated, ...]:
        """What every part preserves."""
        first, *others = self.parts
        return tuple(kept for kept in first.preserves if all(kept in part.preserves for part in others))

    @property
    def destroys(self) -> tuple[Stated, ...]:
        """What the last part destroys, and whatever earlier parts destroyed."""
        return tuple(dict.fromkeys(gone for part in self.parts for gone in part.destroys))

    def start(self, problem: Problem, rng: np.random.Generator) -> Problem:
        """Return what the first part's draws start from."""
        return self.parts[0].start(problem, rng)

    def draw(self, problem: Problem, rng: np.random.Generator) -> Problem:
        """Return the problem after every part, each with a stream of its own."""
        for part, own in zip(self.parts, rng.spawn(len(self.parts)), strict=True):
            problem = part.draw(problem, own)
        return problem

    def check(self, problem: Problem) -> None:
        """Raise what any part raises, each on what the parts before it make of the problem."""
        for number, part in enumerate(self.parts):
            part.check(problem)
            problem = part.draw(problem, stream(0, "check", number))

    def orbit(self, problem: Problem) -> Orbit | None:
        """Return the widest part's distinct draws, where there is a widest part."""
        return None if self._widest is None else self._widest.orbit(problem)

    def integrity(self, problem: Problem, train: np.ndarray, test: np.ndarray) -> dict[str, float]:
        """Return the figures of all parts."""
        return {name: value for part in self.parts for name, value in part.integrity(problem, train, test).items()}

    def caveats(self, problem: Problem, rng: np.random.Generator) -> tuple[str, ...]:
        """Return the caveats of all parts."""
        return tuple(caveat for part in self.parts for caveat in part.caveats(problem, rng))


def compose(*controls: Control) -> Composed:
    """Return the control that applies ``controls`` from left to right.

    Its inference is "ensemble" unless the composed draw is uniform over one group that leaves the
    null invariant (as when one part's rearrangements include all of the other's).

    Parameters
    ----------
    *controls : Control
        Two or more.

    Examples
    --------
    >>> import controls as ct
    >>> ct.compose(ct.ShuffleLabels(within="document"), ct.ShuffleLabels()).inference
    'exact'
    >>> ct.compose(ct.ControlTask(per="word"), ct.ShuffleLabels(within="document")).inference
    'ensemble'
    """
    if len(controls) < 2:
        raise InputError(f"compose needs at least two controls, got {len(controls)}.")
    for control in controls:
        if not isinstance(control, Control):
            kind = isinstance(control, type)
            got = f"the class {control.__name__}; write {control.__name__}()" if kind else type(control).__name__
            raise InputTypeError(f"compose takes controls, got {got}.")
        if control.level == "finding":
            raise InputError(
                f"compose takes controls that change the problem, got {control.name}, which changes what is found in "
                "it; give it in controls= beside the others."
            )
    return Composed(tuple(controls))
