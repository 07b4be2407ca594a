"""Calibration: the frozen record of how often a pipeline rejects where nothing, or a known amount, can be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from scipy.stats import binomtest

from controls.core.errors import unknown_name
from controls.stats.pvalue import clopper_pearson, visible_rate

if TYPE_CHECKING:
    import pandas as pd

FAMILY_LEVEL = 0.01  # of all judgements of false alarms together
_POWER = 0.9  # with which a rate that is called visible would show
_SHOULD_SEE = 4.0  # times alpha: a rate that repetitions must be able to show, or they are called too few


class Level(StrEnum):
    """What the false alarms of one control say."""

    KEPT = "KEPT"
    EXCEEDED = "EXCEEDED"
    CANNOT = "CANNOT REJECT"
    FEW = "TOO FEW"


@final
@dataclass(frozen=True)
class Rate:
    """A share of repetitions, with its Clopper–Pearson 95% interval.

    Examples
    --------
    >>> rate = Rate(5, 100)
    >>> rate.value, round(rate.low, 3), round(rate.high, 3)
    (0.05, 0.016, 0.113)
    """

    count: int
    repetitions: int

    @property
    def value(self) -> float:
        """The share; NaN of no repetitions."""
        return self.count / self.repetitions if self.repetitions else float("nan")

    @property
    def low(self) -> float:
        """Lower end of the interval."""
        return clopper_pearson(self.count, self.repetitions)[0] if self.repetitions else 0.0

    @property
    def high(self) -> float:
        """Upper end of the interval."""
        return clopper_pearson(self.count, self.repetitions)[1] if self.repetitions else 1.0

    def exceeds(self, rate: float, level: float) -> bool:
        """Whether a one-sided binomial test at this level says that the true share is above ``rate``."""
        return bool(binomtest(self.count, self.repetitions, rate, alternative="greater").pvalue <= level)


@final
@dataclass(frozen=True)
class CalibrationRow:
    """One control at one size of the planted signal."""

    control: str
    effect: float  # 0 where nothing was planted: rejections are then false alarms
    rejections: Rate  # p at or below alpha
    selective: Rate  # verdict SELECTIVE
    warned: Rate  # the comparison had a caveat
    selectivity: float  # mean over repetitions
    selectivity_error: float  # its Monte-Carlo standard error
    p_floor: float  # the smallest p that the design can give, at its least over repetitions


@final
@dataclass(frozen=True, eq=False, repr=False)
class Calibration:
    """How often a pipeline rejects on its own problem: without signal, and with signals of known size.

    Prints as a table. ``false_alarms``, ``power`` and ``levels`` go by the controls' names.
    """

    title: str
    trainer: str
    metric: str
    rows: tuple[CalibrationRow, ...]
    claims: tuple[tuple[float, Rate], ...]  # effect, and how often the claim over all controls HOLDS
    scores: tuple[tuple[float, float], ...]  # effect, and the mean score
    alpha: float
    draws: int
    repetitions: int
    distinct: int  # different labels that were planted in them: what rates are out of
    effects: tuple[float, ...]
    null: str  # how labels were redrawn
    signal: str  # what an effect of size 1 is
    notes: tuple[str, ...]
    failures: tuple[tuple[int, float, str], ...]  # repetition, effect, and what went wrong there
    n: int
    d: int
    unit: str
    n_units: int
    seed: int
    versions: Mapping[str, str]
    seconds: float

    @property
    def controls(self) -> tuple[str, ...]:
        """The names of the controls."""
        return tuple(dict.fromkeys(row.control for row in self.rows))

    @property
    def false_alarms(self) -> dict[str, Rate]:
        """For each control, how often p was at or below alpha where nothing was planted."""
        return {row.control: row.rejections for row in self.rows if row.effect == 0}

    @property
    def power(self) -> dict[str, dict[float, Rate]]:
        """For each control and effect, how often p was at or below alpha."""
        return {
            name: {row.effect: row.rejections for row in self.rows if row.control == name and row.effect > 0}
            for name in self.controls
        }

    @property
    def levels(self) -> dict[str, Level]:
        """For each control, what its false alarms say, at a level corrected for the number of controls."""
        return {row.control: self._level(row) for row in self.rows if row.effect == 0}

    @property
    def kept(self) -> bool:
        """Whether no control has more false alarms than alpha allows, as far as these repetitions can tell."""
        return Level.EXCEEDED not in self.levels.values()

    @cached_property
    def visible(self) -> float | None:
        """The smallest true rate of false alarms that would show, nine times in ten; None where none would."""
        return visible_rate(self.distinct, self.alpha, FAMILY_LEVEL / max(1, len(self.controls)), _POWER)

    def _level(self, row: CalibrationRow) -> Level:
        if row.p_floor > self.alpha:
            return Level.CANNOT
        if row.rejections.repetitions and row.rejections.exceeds(self.alpha, FAMILY_LEVEL / len(self.controls)):
            return Level.EXCEEDED
        seen = self.visible is not None and self.visible <= _SHOULD_SEE * self.alpha
        return Level.KEPT if seen else Level.FEW

    def __getitem__(self, control: str) -> tuple[CalibrationRow, ...]:
        """Return the rows of a control, the first without signal."""
        rows = tuple(row for row in self.rows if row.control == control)
        if not rows:
            raise unknown_name("control", control, self.controls)
        return rows

    def __repr__(self) -> str:
        """Return the tables that the terminal shows."""
        from controls.testing.own_pipeline import show

        return show.as_text(self)

    def _repr_html_(self) -> str:
        from controls.testing.own_pipeline import show

        return show.as_html(self)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per control and effect as a pandas DataFrame, numbers unrounded."""
        from controls.testing.own_pipeline import show

        return show.as_frame(self)

    def to_json(self, path: str | Path | None = None) -> str:
        """Return the record as versioned JSON, and write it where a path is given."""
        from controls.testing.own_pipeline import show

        text = show.as_json(self)
        if path is not None:
            Path(path).write_text(text + "\n", encoding="utf-8")
        return text

    def plot(self) -> Any:
        """Return a matplotlib Figure: the rate of rejections over the size of the effect, for each control."""
        from controls.testing.own_pipeline import show

        return show.plot(self)
