"""What every check of a case is: something expected beside something measured."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict
from typing import Any, ClassVar


class Check(ABC):
    """One thing that must come out; concrete checks are frozen dataclasses."""

    judged: ClassVar[bool] = True  # whether it can fail
    by_chance: ClassVar[bool] = False  # whether a test decides, so that the family of checks shares its level
    what: str  # unique within its case

    @abstractmethod
    def passed(self, level: float) -> bool:
        """Return whether what was measured does not contradict what was expected, by tests at this level."""

    @property
    def doubtful(self) -> bool:
        """Whether a second, larger run is to decide: see :class:`~controls.testing.suite.case.Effort`."""
        return False

    def second(self, again: Any) -> Check:
        """Return what the same check of the second run says, in the place of this doubtful one."""
        return again

    def visible(self, level: float) -> float | None:
        """Return the nearest true rate that would fail four times in five; None where there is none, or no rate."""
        return None

    def too_few(self, level: float) -> bool:
        """Return whether a true rate five points beyond what is allowed would fail less often than that."""
        return False

    @property
    @abstractmethod
    def expected_words(self) -> str:
        """What is right, for a table."""

    @property
    @abstractmethod
    def measured_words(self) -> str:
        """What came out, for a table."""

    @abstractmethod
    def numbers(self) -> dict[str, Any]:
        """Return what is expected and measured, and the ends of an interval (low, high) where there is one."""

    def as_dict(self, level: float) -> dict[str, Any]:
        """Return the check for a JSON file."""
        return {
            **asdict(self),  # type: ignore[call-overload] - concrete checks are dataclasses
            "kind": type(self).__name__,
            **self.numbers(),
            "expected_words": self.expected_words,
            "measured_words": self.measured_words,
            "visible": self.visible(level),
            "too_few": self.too_few(level),
            "passed": bool(self.passed(level)),
        }
