"""Checks of values: effects, identities, bounds and words."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar, final

from controls.core.errors import InputError
from controls.core.validate import one_of, real_number, whole_number
from controls.testing.suite.check import Check

STANDARD_ERRORS = 3.0  # an effect may be so many Monte-Carlo standard errors from its exact value


@final
@dataclass(frozen=True)
class NearZero(Check):
    """The adjusted effect of a true null: nearer to 0 than ``within``.

    What is not is measured again, in a second run of four times the repetitions, which decides.

    Examples
    --------
    >>> NearZero("adjusted R²", -0.003).passed(0.01)
    True
    """

    what: str
    value: float
    within: float = 0.01
    first: float | None = None  # the value of a first run that was not near 0

    @property
    def expected_words(self) -> str:
        """The rule."""
        return f"0 ± {self.within:g}"

    @property
    def measured_words(self) -> str:
        """The value, and that of the first run where this is the second."""
        before = "" if self.first is None else f"; first run {number(self.first)}"
        return number(self.value) + before

    @property
    def doubtful(self) -> bool:
        """Whether the value is not near 0 in a first run."""
        return self.first is None and not self.passed(1.0)

    def second(self, again: NearZero) -> NearZero:
        """Return what the second run says, beside the value of this one."""
        return replace(again, what=self.what, first=self.value)

    def numbers(self) -> dict[str, Any]:
        """Return 0 and the value."""
        return {"expected": 0.0, "measured": float(self.value)}

    def passed(self, level: float) -> bool:
        """Return whether the value is near 0."""
        return abs(self.value) < self.within


@final
@dataclass(frozen=True)
class Effect(Check):
    """A mean over repetitions beside the exact value: within three of its Monte-Carlo standard errors.

    One that is further off is measured again, in a second run of four times the repetitions on streams
    of its own, which decides: again by three standard errors. A sound effect fails both about once in 140,000 times.

    Parameters
    ----------
    what : str
    expected : float
        The exact value.
    measured : float
        The mean over repetitions.
    error : float
        Its standard error, above 0.
    repetitions : int
    first : float, optional
        By how many standard errors a first run was off; this is the second one then.

    Examples
    --------
    >>> Effect("R²", expected=0.4, measured=0.402, error=0.001, repetitions=100).passed(0.01)
    True
    """

    what: str
    expected: float
    measured: float
    error: float
    repetitions: int
    first: float | None = None

    def __post_init__(self) -> None:
        whole_number(self.repetitions, f"repetitions of {self.what!r}", low=2)
        real_number(self.error, f"error of {self.what!r}", low=0, high=math.inf)

    @property
    def expected_words(self) -> str:
        """The exact value."""
        return f"= {number(self.expected)}"

    @property
    def measured_words(self) -> str:
        """The mean with its standard error, and how far off the first run was where this is the second."""
        said = f"{number(self.measured)} (s.e. {self.error:.2g}) of {self.repetitions}"
        if self.first is None:
            return said
        return f"{said}; first run {self.first:.1f} s.e. off, this one, of four times as many: {self.off:.1f}"

    @property
    def off(self) -> float:
        """How many standard errors the mean is from the exact value."""
        return abs(self.measured - self.expected) / self.error

    @property
    def doubtful(self) -> bool:
        """Whether a first run is more than three standard errors off."""
        return self.first is None and not self.passed(1.0)

    def second(self, again: Effect) -> Effect:
        """Return what the second run says, beside how far off this one was."""
        return replace(again, what=self.what, first=self.off)

    def numbers(self) -> dict[str, Any]:
        """Return both values, and the mean give or take two standard errors."""
        low, high = self.measured - 2 * self.error, self.measured + 2 * self.error
        return {"expected": float(self.expected), "measured": float(self.measured), "low": low, "high": high}

    def passed(self, level: float) -> bool:
        """Return whether the mean is within three standard errors of the exact value, whatever the level."""
        return self.off <= STANDARD_ERRORS


@final
@dataclass(frozen=True)
class Exact(Check):
    """An identity: equal up to ``tolerance``, which is for rounding.

    Examples
    --------
    >>> Exact("mean R² = d / m", expected=0.5, measured=0.5 + 1e-12, tolerance=1e-9).passed(0.01)
    True
    """

    what: str
    expected: float
    measured: float
    tolerance: float

    @property
    def expected_words(self) -> str:
        """The exact value and the tolerance."""
        return f"= {number(self.expected)} ± {self.tolerance:g}"

    @property
    def measured_words(self) -> str:
        """The value."""
        return number(self.measured)

    def numbers(self) -> dict[str, Any]:
        """Return both values."""
        return {"expected": float(self.expected), "measured": float(self.measured)}

    def passed(self, level: float) -> bool:
        """Return whether both are equal."""
        return abs(self.measured - self.expected) <= self.tolerance


@final
@dataclass(frozen=True)
class Bound(Check):
    """A value that must lie on one side of a bound.

    Examples
    --------
    >>> Bound("cross-talk", "at least", bound=0.126, measured=0.127).passed(0.01)
    True
    """

    what: str
    kind: str
    bound: float
    measured: float

    def __post_init__(self) -> None:
        one_of(self.kind, f"kind of {self.what!r}", ("at most", "at least"))

    @property
    def expected_words(self) -> str:
        """The rule."""
        return f"{'≤' if self.kind == 'at most' else '≥'} {number(self.bound)}"

    @property
    def measured_words(self) -> str:
        """The value."""
        return number(self.measured)

    def numbers(self) -> dict[str, Any]:
        """Return the bound and the value."""
        return {"side": self.kind, "expected": float(self.bound), "measured": float(self.measured)}

    def passed(self, level: float) -> bool:
        """Return whether the value is on the right side."""
        return self.measured <= self.bound if self.kind == "at most" else self.measured >= self.bound


@final
@dataclass(frozen=True)
class Verdict(Check):
    """A verdict, or another word, that must come out.

    Examples
    --------
    >>> Verdict("linear probe on the raw input", expected="INCONCLUSIVE", measured="SELECTIVE").passed(0.01)
    False
    """

    what: str
    expected: str
    measured: str

    def __post_init__(self) -> None:
        if not isinstance(self.expected, str) or not isinstance(self.measured, str):
            raise InputError(
                f"expected and measured of {self.what!r} must be words, got {self.expected!r} and {self.measured!r}; "
                "numbers go into Exact or Effect."
            )

    @property
    def expected_words(self) -> str:
        """The word."""
        return self.expected

    @property
    def measured_words(self) -> str:
        """The word."""
        return self.measured

    def numbers(self) -> dict[str, Any]:
        """Return both words."""
        return {"expected": self.expected, "measured": self.measured}

    def passed(self, level: float) -> bool:
        """Return whether it is the same word."""
        return self.measured == self.expected


@final
@dataclass(frozen=True)
class Shown(Check):
    """A value to be read beside the others; nothing is right or wrong about it.

    Examples
    --------
    >>> Shown("spread over samples", 0.03).passed(0.01)
    True
    """

    judged: ClassVar[bool] = False
    what: str
    measured: float | str

    @property
    def expected_words(self) -> str:
        """That it is only shown."""
        return "shown"

    @property
    def measured_words(self) -> str:
        """The value."""
        return self.measured if isinstance(self.measured, str) else number(self.measured)

    def numbers(self) -> dict[str, Any]:
        """Return the value."""
        return {"expected": None, "measured": self.measured}

    def passed(self, level: float) -> bool:
        """Return True."""
        return True


def number(value: float) -> str:
    """Return a number with as many digits as are read: four significant ones, 0 where it is rounding."""
    return "0" if value == 0 else f"{value:.2g}" if abs(value) < 1e-4 else f"{value:.4g}"
