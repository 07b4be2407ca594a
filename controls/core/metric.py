"""Metric: scores what a trainer found. Higher is better; losses are negated and named neg_…."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np

from controls.core.trainer import Output, Task
from controls.core.unit_score import UnitScore


class Metric(ABC):
    """Something that scores findings, with a name; higher is better."""

    chance_depends_on_fit: ClassVar[bool] = False  # whether findings about nothing have different population scores
    ceiling: ClassVar[float | None] = None  # the best that can be scored, where there is such a number
    reads_rows: ClassVar[bool] = True  # whether the score depends on held-out rows, not on the finding alone

    @property
    @abstractmethod
    def name(self) -> str:
        """The name to print; that of scikit-learn where there is one."""

    @property
    def task(self) -> Task | None:
        """What kind of labels it is for; None where either."""
        return None

    @property
    def timesteps(self) -> tuple[float, ...] | None:
        """Shares of the units after which a probe is trained anew, where blocks are scored one after another."""
        return None

    def unfitted(self, n_classes: int) -> float:
        """Return the score of a fold in which nothing can be fitted; NaN where it has none."""
        return math.nan

    def remark(self, score: float, n: int, n_classes: int) -> str | None:
        """Return what else to say of the score of n rows."""
        return None


class ColumnMetric(Metric):
    """A metric of predictions, vectorised over label columns."""

    @property
    @abstractmethod
    def needs(self) -> str:
        """Which prediction it reads: "labels", "scores" or "probabilities"."""

    @abstractmethod
    def score(self, truth: np.ndarray, output: Output) -> np.ndarray:
        """Return the score of each column, shape (B,); NaN where it is not defined."""

    def without_units(self, truth: np.ndarray, output: Output, units: np.ndarray) -> np.ndarray | None:
        """Return the score of each column with each unit left out, shape (G, B).

        ``units`` are codes 0 … G−1 of the m rows. None where the metric has no such form: then
        whole units are resampled.
        """
        return None

    def defined(self, class_counts: np.ndarray) -> np.ndarray:
        """Whether the score is defined on test rows with these class counts (C, B); shape (B,)."""
        return np.ones(class_counts.shape[1], dtype=bool)


@final
@dataclass(frozen=True)
class FindingMetric(Metric):
    """A user's ``function(finding, problem)``: a number, one number per row (whose mean is the score), or RowMeans.

    The function may have attributes ``ceiling`` (a number) and ``reads_rows`` (False where the score is
    one of the finding alone, whatever the rows), which say what :class:`Metric` does by these names.
    """

    function: Callable[..., Any]
    label: str
    sign: float = 1.0

    @property
    def ceiling(self) -> float | None:  # type: ignore[override]
        """What the function says is the best that can be scored."""
        best = getattr(self.function, "ceiling", None)
        return None if best is None else self.sign * float(best)

    @property
    def reads_rows(self) -> bool:  # type: ignore[override]
        """Whether the function depends on rows."""
        return bool(getattr(self.function, "reads_rows", True))

    @property
    def name(self) -> str:
        """The function's name, with neg_ for a loss."""
        return self.label if self.sign > 0 else f"neg_{self.label}"

    def __call__(self, finding: Any, problem: Any) -> np.ndarray | UnitScore:
        """Return the signed score (0-d), the signed scores per row (n,), or the signed score made of rows."""
        found = self.function(finding, problem)
        if isinstance(found, UnitScore):
            return found if self.sign > 0 else -found
        return self.sign * np.asarray(found, dtype=np.float64)
