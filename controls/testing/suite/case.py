"""A case: a world with a known answer, and what must come out of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar, final

import numpy as np

from controls.core.rng import stream
from controls.testing.suite.check import Check
from controls.testing.suite.counts import Ceiling, Coverage, Power, Rejections, Seen
from controls.testing.suite.values import Bound, Effect, Exact, NearZero, Shown, Verdict

__all__ = [
    "Bound",
    "Case",
    "Ceiling",
    "Check",
    "Coverage",
    "Effect",
    "Effort",
    "Exact",
    "NearZero",
    "Power",
    "Rejections",
    "Seen",
    "Shown",
    "Verdict",
    "checked",
]

T = TypeVar("T")
SECOND = 4  # times the repetitions, in a second run


@final
@dataclass(frozen=True)
class Effort:
    """How much is computed: the short form, to see gross failures, or the full one; and in which run.

    A case with an effect more than three standard errors from its exact value (or a value that should be
    nearly 0 and is not) is run a second time, on streams of its own, with ``SECOND`` times as many
    repetitions of what effects are measured on. Of that effect the second run alone decides.

    Examples
    --------
    >>> Effort(short=True).pick(20, 500), Effort(short=True).repetitions(20, 500)
    (20, 20)
    >>> Effort(second=True).repetitions(20, 500), Effort(second=True).seeds(20, 500)
    (2000, range(1000000, 1002000))
    """

    short: bool = False
    second: bool = False

    def pick(self, short: T, full: T) -> T:
        """Return the first value in the short form, the second in the full one."""
        return short if self.short else full

    def repetitions(self, short: int, full: int) -> int:
        """Return how often to repeat what an effect is measured on: the picked value, more often in a second run."""
        return self.pick(short, full) * (SECOND if self.second else 1)

    def seeds(self, short: int, full: int) -> range:
        """Return so many seeds, of worlds that take a whole number; others in a second run."""
        start = 1_000_000 if self.second else 0
        return range(start, start + self.repetitions(short, full))

    def stream(self, *key: str | int) -> np.random.Generator:
        """Return the random stream of a key; begin it with the name of the case."""
        return stream(0, "suite", *(("second",) if self.second else ()), *key)


Run = Callable[[Effort], list[Check]]


def checked(run: Run, effort: Effort) -> tuple[Check, ...]:
    """Return the checks of a run; those that are in doubt as a second, larger run says, which lists them in order.

    Examples
    --------
    >>> noisy = lambda effort: [Effect("mean", 0.0, 0.5 if effort.second else 3.4, 1.0, effort.repetitions(9, 99))]
    >>> [check.measured_words for check in checked(noisy, Effort(short=True))]
    ['0.5 (s.e. 1) of 36; first run 3.4 s.e. off, this one, of four times as many: 0.5']
    """
    first = tuple(run(effort))
    if not any(check.doubtful for check in first):
        return first
    second = run(replace(effort, second=True))
    return tuple(check.second(again) if check.doubtful else check for check, again in zip(first, second, strict=True))


@final
@dataclass(frozen=True)
class Case:
    """A question put to a world whose answer is known.

    Parameters
    ----------
    name : str
        Short and unique, as typed after ``controls calibrate --only``.
    question : str
        What is asked, and with which control or probe.
    truth : str
        The answer, and why it is known.
    run : callable
        ``run(effort) -> list of checks``: a function of a module, since it is sent to worker processes.
    """

    name: str
    question: str
    truth: str
    run: Run
