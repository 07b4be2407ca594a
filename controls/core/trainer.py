"""Trainer: anything that fits a problem and returns a finding. Batch trainers fit many label columns at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from controls.core.problem import Problem

Task = Literal["classification", "regression"]
Split = tuple[np.ndarray, np.ndarray]  # row indices to train on, and to test on


class Trainer(ABC):
    """Fits a problem: ``fit(problem, rng) -> finding``."""

    @property
    def task(self) -> Task | None:
        """What kind of labels it takes; None where it takes either."""
        return None

    @property
    def provides(self) -> frozenset[str] | None:
        """Which of "labels", "scores", "probabilities" its findings predict; None where not known before a fit."""
        return None

    @property
    def reads(self) -> tuple[str, ...]:
        """The sites that it reads of a problem with several; none where it takes the problem's only array."""
        return ()

    @property
    def uses_threads(self) -> bool:
        """Whether one fit is large enough for all threads; draws are then made one after another, in this process."""
        return False

    @property
    def together(self) -> int:
        """How many fits of problems of one size are best made together, by ``fit_many``; 1 where one by one."""
        return 1

    @abstractmethod
    def fit(self, problem: Problem, rng: np.random.Generator) -> Any:
        """Return what was found; leaves the problem and itself as they are."""

    def fit_many(self, problems: Sequence[Problem], rngs: Sequence[np.random.Generator]) -> list[Any]:
        """Return what was found in each problem: what ``fit`` finds there, up to rounding."""
        return [self.fit(problem, rng) for problem, rng in zip(problems, rngs, strict=True)]

    def fit_beside(
        self, trainers: Sequence[Trainer], problem: Problem, rngs: Sequence[np.random.Generator]
    ) -> list[Any]:
        """Return what each of several trainers of this kind, itself the first, finds in one problem, up to rounding.

        They are what a control on training makes of one trainer, draw by draw.
        """
        return [trainer.fit(problem, rng) for trainer, rng in zip(trainers, rngs, strict=True)]


@dataclass(frozen=True, eq=False)
class Output:
    """What fitted models say about m test rows, for B label columns side by side.

    Classification: ``scores`` are (m, B) for two classes (positive means the second) and (m, B, C)
    otherwise; ``labels`` (m, B) are class codes; ``probabilities`` are (m, B, C).
    Regression: ``labels`` (m, B) are the predicted values. What a trainer has not is None.
    """

    labels: np.ndarray | None = None
    scores: np.ndarray | None = None
    probabilities: np.ndarray | None = None


class Engine(Protocol):
    """Fits of many label columns that share activations and folds."""

    @property
    def tolerance(self) -> float:
        """Scores closer than this count as tied: what convergence leaves open."""
        ...

    def predict(self, fold: int, targets: np.ndarray, needs: str) -> Output:
        """Fit the fold's training rows of every column of ``targets`` (n, B); predict its test rows.

        ``targets`` are class codes 0 … C−1 (int64) or numbers (float64). ``needs`` says which of
        "labels", "scores", "probabilities" the output must have. The folds of a block follow one
        another with the same array, which is read-only: what is made of it may be kept until another
        comes; where an array can be written to, its content may have changed.
        """
        ...


class BatchTrainer(Trainer):
    """A trainer that can also fit many label columns that share one set of activations in one go."""

    @property
    def concurrent(self) -> bool:
        """Whether one engine may be asked by several threads at once."""
        return False

    @abstractmethod
    def engine(self, activations: np.ndarray, splits: Sequence[Split], task: Task, n_classes: int) -> Engine:
        """Return the engine for these activations and folds; what columns share is computed once, when needed.

        Activations may be sparse (CSR) or memory-mapped in any type of number:
        ``controls.core.arrays.dense_rows(activations, rows)`` gives rows as a floating array.
        """
