"""Stage: one question of the demo, with all that is needed to measure and to explain it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from controls.core.control import Control
from controls.core.problem import Problem


@final
@dataclass(frozen=True, eq=False)
class Stage:
    """One question asked at several sites of a model.

    ``concept`` is what the probe is to read, ``kind`` what a control task hands random labels to;
    both are used in sentences.
    """

    name: str  # of the files it is written to
    title: str
    question: str
    concept: str
    kind: str
    problem: Problem
    controls: tuple[Control, ...]
    scoring: str
    draws: int
