"""Properties of label sequences that controls keep or destroy: turns, bursts, and where they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from controls.core.problem import Problem
from controls.core.properties import Association, Property
from controls.core.rng import stream
from controls.core.runs import BurstOrbit, runs_of
from controls.core.sequences import rows_of_each, sequence_codes


@final
@dataclass(frozen=True)
class Turns(Property):
    """Each group's label sequence, up to the row where it begins."""

    group: str | None = None

    @property
    def words(self) -> str:
        """The property in words."""
        return f"the label sequence of {_each(self.group)}, turned round in a circle"

    def holds(self, before: Problem, after: Problem) -> bool:
        """Whether every sequence is a turn of what it was."""
        rows = rows_of_each(sequence_codes(before, self.group))
        return all(_is_turn(before.label_codes[some], after.labels[some], before.classes) for some in rows)


@final
@dataclass(frozen=True)
class BurstLengths(Property):
    """The lengths of the bursts of each group, in any order, and those of its gaps where ``gaps``."""

    group: str | None = None
    gaps: bool = False

    @property
    def words(self) -> str:
        """The property in words."""
        return f"how long the bursts{' and gaps' if self.gaps else ''} of {_each(self.group)} are"

    def holds(self, before: Problem, after: Problem) -> bool:
        """Whether every group has runs of the same lengths."""
        groups = rows_of_each(sequence_codes(before, self.group))
        return all(self._lengths(before, before.labels[r]) == self._lengths(before, after.labels[r]) for r in groups)

    def _lengths(self, problem: Problem, labels: np.ndarray) -> list[list[int]]:
        mask = labels == problem.classes[-1]
        runs, first = runs_of(mask), 0 if mask[0] else 1
        return [sorted(runs[first::2]), sorted(runs[1 - first :: 2]) if self.gaps else []]


@final
@dataclass(frozen=True)
class ExpectedAlignment(Association):
    """Which row fires, beyond how often each row does where bursts are moved at random."""

    group: str | None = None
    bursts: bool = True
    gaps: bool = False

    @property
    def words(self) -> str:
        """The property in words."""
        return f"where in {_each(self.group)} the {'bursts' if self.bursts else 'firing rows'} are"

    def strength(self, before: Problem, after: Problem) -> float:
        """Return the covariance with the observed firing, each row's chance (of 1000 draws) taken off, as a share."""
        chance = before.memo(("chance", self), lambda: self._chance(before))
        old, new = (part.labels == before.classes[-1] for part in (before, after))
        return float((old - chance) @ (new - chance) / max((old - chance) @ (old - chance), np.finfo(float).tiny))

    def _chance(self, problem: Problem) -> np.ndarray:
        codes, fires = sequence_codes(problem, self.group), problem.labels == problem.classes[-1]
        if not self.bursts:
            return (np.bincount(codes, fires) / np.bincount(codes))[codes]
        orbit, rng = BurstOrbit(fires, codes, self.gaps), stream(0, "chance")
        return np.mean([orbit.draw(rng) for _ in range(1000)], axis=0)


def _each(group: str | None) -> str:
    return f"each {group}" if group else "all rows"


def _is_turn(old: np.ndarray, labels: np.ndarray, classes: np.ndarray) -> bool:
    """Whether a sequence of labels is one of codes ``old``, turned: a stretch of ``old`` written twice."""
    new = np.searchsorted(classes, labels)
    twice = np.concatenate([old, old])
    return any(np.array_equal(twice[start : start + len(new)], new) for start in range(len(old)))
