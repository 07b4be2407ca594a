"""ModelComparison: the frozen record of two groups of models, compared by one number each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from controls.core.result import Estimate, Verdict

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd


@final
@dataclass(frozen=True, eq=False, repr=False)
class ModelComparison:
    """Two groups of models compared by one number each. Prints as a table."""

    of: str  # what is compared, in words
    names: tuple[str, str]
    values: Mapping[str, np.ndarray]  # one number per model, by the name of the group
    estimate: Estimate  # difference of the means; its interval speaks of further models
    bounds: tuple[float, float]  # ends of the 1 − 2·alpha interval, by which the verdict goes
    p_value: float  # upper tail of the permutation test; of one model, its rank
    p_lower: float
    p_floor: float  # the smallest p that so many models can give
    p_interval: tuple[float, float] | None  # Clopper–Pearson 95%; None where all relabelings were enumerated
    relabelings: int  # how many ways there are to call so many of the models the first
    verdict: Verdict
    reason: str
    alpha: float
    smallest_effect: float

    def __repr__(self) -> str:
        """Return the table that the terminal shows."""
        from controls.report import model_comparison

        return model_comparison.text(self)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per model: its group and its number."""
        from controls.report import model_comparison

        return model_comparison.frame(self)

    def to_json(self, path: str | Path | None = None) -> str:
        """Return the record as JSON, and write it where a path is given; null where a number is not defined."""
        from controls import report

        return report.as_json(self, path)

    def plot(self) -> Any:
        """Return a matplotlib Figure: a mark per model, and the difference of their means."""
        from controls import report

        return report.plot(self)
