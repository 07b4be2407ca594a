"""Counts over repetitions, judged by a binomial test."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from scipy.stats import binomtest


@dataclass(frozen=True)
class Cell:
    """One count with the rate that it is held against.

    ``kind`` says what is right: "at most" the rate (false alarms), "at least" it (coverage), "equal"
    (within the binomial band), "above" it (a fault that must be seen), or "any".
    """

    table: str
    name: str
    count: int
    repetitions: int
    rate: float
    kind: str
    setting: str = ""

    @property
    def measured(self) -> float:
        """The share of repetitions."""
        return self.count / self.repetitions

    @property
    def interval(self) -> tuple[float, float]:
        """Clopper–Pearson 95% interval of the rate."""
        found = binomtest(self.count, self.repetitions).proportion_ci()
        return float(found.low), float(found.high)

    def passed(self, level: float) -> bool:
        """Whether the count does not contradict what is right, at this level."""
        above = binomtest(self.count, self.repetitions, self.rate, alternative="greater").pvalue
        below = binomtest(self.count, self.repetitions, self.rate, alternative="less").pvalue
        if self.kind == "at most":
            return bool(above >= level)
        if self.kind == "at least":
            return bool(below >= level)
        if self.kind == "equal":
            return bool(min(above, below) >= level / 2)
        return self.kind == "any" or bool(above < level)  # "above": the fault must be seen

    def as_dict(self, level: float) -> dict[str, Any]:
        """Return the cell for a JSON file."""
        low, high = self.interval
        return {
            **asdict(self),
            "measured": self.measured,
            "low": low,
            "high": high,
            "expected": self.rate,
            "passed": self.passed(level),
        }


def judged(cells: list[Cell], family_level: float = 0.01) -> tuple[list[tuple[Cell, bool]], float]:
    """Return each cell with whether it passed, at a level that is corrected for their number."""
    level = family_level / max(1, len(cells))
    return [(cell, cell.passed(level)) for cell in cells], level
