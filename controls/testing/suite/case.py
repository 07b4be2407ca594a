"""A case: a world with a known answer, and what must come out of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar, final

import numpy as np

from controls.core.rng import stream
from controls.testing.suite.check import Check
from controls.testing.suite.counts import Coverage, Power, Rejections, Seen
from controls.testing.suite.values import Bound, Effect, Exact, NearZero, Shown, Verdict

__all__ = [
    "Bound",
    "Case",
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
]

T = TypeVar("T")


@final
@dataclass(frozen=True)
class Effort:
    """How much is computed: the short form, to see gross failures, or the full one.

    Examples
    --------
    >>> Effort(short=True).pick(20, 500)
    20
    """

    short: bool = False

    def pick(self, short: T, full: T) -> T:
        """Return the first value in the short form, the second in the full one."""
        return short if self.short else full

    def stream(self, *key: str | int) -> np.random.Generator:
        """Return the random stream of a key; begin it with the name of the case."""
        return stream(0, "suite", *key)


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
    run: Callable[[Effort], list[Check]]
