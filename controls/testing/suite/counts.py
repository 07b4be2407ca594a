"""Checks of counts: how often something happened, against a rate, by a binomial test."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, final

from controls.core.errors import InputError
from controls.core.validate import real_number, whole_number
from controls.stats.pvalue import clopper_pearson, visible_rate
from controls.testing.suite.check import Check

POWER = 0.8  # with which a rate that is called visible would fail
POINTS = 0.05  # a rate so far beyond what is allowed must be visible, or repetitions are called too few


class Count(Check):
    """So many of so many repetitions, beside a rate; abstract."""

    by_chance: ClassVar[bool] = True
    count: int
    repetitions: int

    def __post_init__(self) -> None:
        """Refuse counts that cannot be."""
        whole_number(self.repetitions, f"repetitions of {self.what!r}", low=1)
        if whole_number(self.count, f"count of {self.what!r}", low=0) > self.repetitions:
            raise InputError(f"count of {self.what!r} must be at most {self.repetitions}, got {self.count}.")
        if self.held_against is not None:
            real_number(self.held_against, f"rate of {self.what!r}", low=0, high=1, open_ends=False)

    @property
    @abstractmethod
    def held_against(self) -> float | None:
        """The rate that the count is held against; None where it is only shown."""

    @property
    def share(self) -> float:
        """The share of repetitions."""
        return self.count / self.repetitions

    @property
    def interval(self) -> tuple[float, float]:
        """Clopper–Pearson 95% interval of the rate."""
        return clopper_pearson(self.count, self.repetitions)

    @property
    def measured_words(self) -> str:
        """The share with its interval and the number of repetitions."""
        low, high = self.interval
        return f"{self.share:.3f} ({low:.3f}–{high:.3f}) of {self.repetitions}"

    def numbers(self) -> dict[str, Any]:
        """Return the rate, the share and its interval."""
        low, high = self.interval
        return {"expected": self.held_against, "measured": self.share, "low": low, "high": high}

    def _p(self, alternative: str) -> float:
        from scipy.stats import binomtest

        rate: Any = self.held_against
        return float(binomtest(self.count, self.repetitions, rate, alternative=alternative).pvalue)


@final
@dataclass(frozen=True)
class Rejections(Count):
    """False alarms of a test whose null is true: not surely more often than alpha.

    Parameters
    ----------
    what : str
    count, repetitions : int
        Rejections at level ``alpha``, of so many repetitions.
    alpha : float
    met : bool
        Whether fewer than alpha are wrong too: a test whose statistic is continuous, with alpha (draws + 1)
        whole, meets its level.

    Examples
    --------
    >>> Rejections("p of a shuffle", 12, 200).passed(0.01), Rejections("p of a shuffle", 30, 200).passed(0.01)
    (True, False)
    """

    what: str
    count: int
    repetitions: int
    alpha: float = 0.05
    met: bool = False

    @property
    def held_against(self) -> float:
        """The level of the test."""
        return self.alpha

    @property
    def expected_words(self) -> str:
        """The rule."""
        return f"{'=' if self.met else '≤'} {self.alpha:g}"

    def visible(self, level: float) -> float | None:
        """Return the smallest true rate of false alarms that would fail four times in five; None where none would."""
        return visible_rate(self.repetitions, self.alpha, level / 2 if self.met else level, POWER)

    def too_few(self, level: float) -> bool:
        """Return whether false alarms five points above alpha would be missed more often than one time in five."""
        seen = self.visible(level)
        return seen is None or seen > self.alpha + POINTS

    def passed(self, level: float) -> bool:
        """Return whether the count does not contradict the level of the test."""
        if self.met:
            return min(self._p("greater"), self._p("less")) >= level / 2
        return self._p("greater") >= level


@final
@dataclass(frozen=True)
class Ceiling(Count):
    """A rate that theory says is at most ``bound``: not surely above it.

    Examples
    --------
    >>> Ceiling("power", 30, 100, 0.6).passed(0.01), Ceiling("power", 90, 100, 0.6).passed(0.01)
    (True, False)
    """

    what: str
    count: int
    repetitions: int
    bound: float

    @property
    def held_against(self) -> float:
        """The bound."""
        return self.bound

    @property
    def expected_words(self) -> str:
        """The rule."""
        return f"≤ {self.bound:.3f}"

    def passed(self, level: float) -> bool:
        """Return whether the count is not significantly above the bound."""
        return self._p("greater") >= level


@final
@dataclass(frozen=True)
class Seen(Count):
    """A fault, a naive practice or an effect that must be seen: surely more often than ``rate``.

    Examples
    --------
    >>> Seen("p without the +1", 40, 200).passed(0.01), Seen("p without the +1", 12, 200).passed(0.01)
    (True, False)
    """

    what: str
    count: int
    repetitions: int
    rate: float = 0.05

    @property
    def held_against(self) -> float:
        """The rate that is to be exceeded."""
        return self.rate

    @property
    def expected_words(self) -> str:
        """The rule."""
        return f"> {self.rate:g}"

    def passed(self, level: float) -> bool:
        """Return whether the count is significantly above the rate."""
        return self._p("greater") < level


@final
@dataclass(frozen=True)
class Coverage(Count):
    """Intervals that hold the truth: not surely less often than ``rate``.

    Examples
    --------
    >>> Coverage("95% interval", 470, 500, rate=0.95).passed(0.01), Coverage("95% interval", 430, 500).passed(0.01)
    (True, False)
    """

    what: str
    count: int
    repetitions: int
    rate: float = 0.95

    @property
    def held_against(self) -> float:
        """The rate that is to be reached."""
        return self.rate

    @property
    def expected_words(self) -> str:
        """The rule."""
        return f"≥ {self.rate:g}"

    def visible(self, level: float) -> float | None:
        """Return the largest true coverage that would fail four times in five; None where none would."""
        missed = visible_rate(self.repetitions, 1 - self.rate, level, POWER)
        return None if missed is None else 1 - missed

    def too_few(self, level: float) -> bool:
        """Return whether coverage five points below the rate would be missed more often than one time in five."""
        seen = self.visible(level)
        return seen is None or seen < self.rate - POINTS

    def passed(self, level: float) -> bool:
        """Return whether the count is not significantly below the rate."""
        return self._p("less") >= level


@final
@dataclass(frozen=True)
class Power(Count):
    """A point of a power curve: how often an effect of size ``at`` is found.

    Parameters
    ----------
    what : str
        Unique within its case, such as ``"ShuffleLabels, delta 0.5"``.
    count, repetitions : int
    at : float
        Size of the planted effect: the place on the curve.
    curve : str
        Points of one case with the same curve are drawn together.
    expected : float, optional
        The exact power, which the count must not contradict; without it the point is only shown.

    Examples
    --------
    >>> Power("delta 0.5", 80, 100, at=0.5, curve="ShuffleLabels", expected=0.83).passed(0.01)
    True
    """

    what: str
    count: int
    repetitions: int
    at: float = 0.0
    curve: str = ""
    expected: float | None = None

    @property
    def held_against(self) -> float | None:
        """The exact power, where it is known."""
        return self.expected

    @property
    def judged(self) -> bool:  # type: ignore[override]
        """Whether the exact power is known."""
        return self.expected is not None

    @property
    def by_chance(self) -> bool:  # type: ignore[override]
        """Whether a test is made."""
        return self.judged

    @property
    def expected_words(self) -> str:
        """The exact power, or nothing."""
        return "shown" if self.expected is None else f"= {self.expected:.3f}"

    def passed(self, level: float) -> bool:
        """Return whether the count does not contradict the exact power."""
        return self.expected is None or min(self._p("greater"), self._p("less")) >= level / 2
