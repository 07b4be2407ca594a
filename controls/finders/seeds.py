"""Seeds: the same trainer several times on the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from controls.core.dictionary import DictionaryTrainer
from controls.core.errors import CannotControl, InputTypeError
from controls.core.problem import Problem
from controls.core.trainer import Task, Trainer
from controls.core.validate import whole_number


@final
@dataclass(frozen=True)
class Seeds(DictionaryTrainer):
    """Trains several dictionaries on the same rows, each with random numbers of its own.

    Its finding is a tuple of them, as ``ct.metrics.SeedStability`` scores it. The first is what the
    trainer alone would find.

    Parameters
    ----------
    trainer : Trainer
    n : int, default 2
        How many, at least 2.

    Notes
    -----
    Costs n trainings for the problem and for every draw; together where the trainer can. Seeds
    replicate the training alone, not the model and not the text.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> class Directions(ct.Trainer):
    ...     def fit(self, problem, rng):
    ...         return rng.normal(size=(3, problem.d))
    >>> problem = ct.Problem(np.ones((4, 2)))
    >>> [found.shape for found in Seeds(Directions(), 2).fit(problem, np.random.default_rng(0))]
    [(3, 2), (3, 2)]
    """

    trainer: Trainer
    n: int = 2

    def __post_init__(self) -> None:
        if not isinstance(self.trainer, Trainer):
            raise InputTypeError(f"trainer must be a Trainer, got {type(self.trainer).__name__}.")
        whole_number(self.n, "n", low=2)

    @property
    def task(self) -> Task | None:
        """That of the trainer."""
        return self.trainer.task

    @property
    def uses_threads(self) -> bool:
        """As the trainer says."""
        return self.trainer.uses_threads

    @property
    def reads(self) -> tuple[str, ...]:
        """The sites that the trainer reads."""
        return self.trainer.reads

    @property
    def writes(self) -> tuple[str, ...]:
        """The sites that the trainer's findings reconstruct."""
        return self.trainer.writes if isinstance(self.trainer, DictionaryTrainer) else self.trainer.reads

    @property
    def n_latents(self) -> int:
        """Number of latents of each dictionary."""
        return self._dictionaries.n_latents

    @property
    def together(self) -> int:
        """How many fits of this kind are best made together."""
        return max(1, self.trainer.together // self.n)

    def fit(self, problem: Problem, rng: np.random.Generator) -> tuple[Any, ...]:
        """Return what was found with each seed."""
        return self.fit_many([problem], [rng])[0]

    def fit_many(self, problems: Sequence[Problem], rngs: Sequence[np.random.Generator]) -> list[Any]:
        """Return what was found in each problem with each seed."""
        every = [problem for problem in problems for _ in range(self.n)]
        streams = [each for rng in rngs for each in (rng, *rng.spawn(self.n - 1))]
        found = self.trainer.fit_many(every, streams)
        return [tuple(found[start : start + self.n]) for start in range(0, len(found), self.n)]

    def held(self, part: str, directions: np.ndarray, least_cosine: float = 1.0) -> Seeds:
        """Return the trainer with every dictionary held at the same directions: it is the rest that seeds differ in."""
        return Seeds(self._dictionaries.held(part, directions, least_cosine), self.n)

    def untrained(self) -> Seeds:
        """Return the trainer that takes no training step."""
        return Seeds(self._dictionaries.untrained(), self.n)

    @property
    def _dictionaries(self) -> DictionaryTrainer:
        if not isinstance(self.trainer, DictionaryTrainer):
            raise CannotControl(
                f"Seeds can be held back only where its trainer finds dictionaries, got {type(self.trainer).__name__}."
            )
        return self.trainer
