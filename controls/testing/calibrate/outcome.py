"""What came of the cases, judged together."""

from __future__ import annotations

import json
import platform
import time
import traceback
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, final

from controls.core.errors import ControlsWarning, InputError
from controls.testing.suite.case import Case, Check, Effort, checked
from controls.testing.suite.cases import Theme
from controls.testing.suite.values import Effect

FAMILY_LEVEL = 0.01


@final
@dataclass(frozen=True)
class Outcome:
    """The checks of one case, or the error that it ended with."""

    theme: Theme
    case: Case
    checks: tuple[Check, ...]
    seconds: float  # of computing, on one core
    error: str = ""  # the last line of the traceback
    details: str = ""  # the traceback

    def passed(self, level: float) -> bool:
        """Return whether the case ran and every check passed."""
        return not self.error and all(check.passed(level) for check in self.checks)


@final
@dataclass(frozen=True)
class Judged:
    """Outcomes of cases, with the level at which each of their tests is made.

    All binomial tests of a run, over all its cases, share .01 (Bonferroni), so that they fail a sound library at
    most once in a hundred times. Effects have a rule of their own: three standard errors, twice.
    """

    outcomes: tuple[Outcome, ...]
    short: bool
    seconds: float  # from beginning to end

    @property
    def computing(self) -> float:
        """Seconds of computing, summed over cases."""
        return sum(outcome.seconds for outcome in self.outcomes)

    @cached_property
    def n_tests(self) -> int:
        """How many checks are decided by a test."""
        return sum(check.by_chance for outcome in self.outcomes for check in outcome.checks)

    @property
    def level(self) -> float:
        """The level of each test."""
        return FAMILY_LEVEL / max(1, self.n_tests)

    @cached_property
    def missed(self) -> tuple[str, ...]:
        """Names of the cases that failed."""
        return tuple(outcome.case.name for outcome in self.outcomes if not outcome.passed(self.level))

    @property
    def passed(self) -> bool:
        """Whether every case passed."""
        return not self.missed

    @property
    def summary(self) -> str:
        """The run in one sentence."""
        checks = [check for outcome in self.outcomes for check in outcome.checks]
        n_checks, few = sum(check.judged for check in checks), sum(check.too_few(self.level) for check in checks)
        effects = sum(isinstance(check, Effect) for check in checks)
        few_words = f" {few} counts are TOO FEW to show five points." if few else ""
        missed = f"MISSED: {', '.join(self.missed)}" if self.missed else "all passed"
        return (
            f"{len(self.outcomes)} cases, {n_checks} checks, of which {self.n_tests} are tests that share .01 "
            f"(level {self.level:.2g} each) and {effects} are effects within three "
            f"standard errors: {missed}.{few_words}"
        )

    def as_dict(self) -> dict[str, Any]:
        """Return everything for a JSON file."""
        return {
            "passed": self.passed,
            "short": self.short,
            "level": self.level,
            "seconds": round(self.seconds, 1),
            "computing_seconds": round(self.computing, 1),
            "python": platform.python_version(),
            "cases": [_as_dict(outcome, self.level) for outcome in self.outcomes],
        }

    def write_json(self, path: Path) -> None:
        """Write the JSON file."""
        text = json.dumps(self.as_dict(), indent=1, ensure_ascii=False, default=lambda value: value.item())
        Path(path).write_text(text + "\n", encoding="utf-8")


def _as_dict(outcome: Outcome, level: float) -> dict[str, Any]:
    checks = [check.as_dict(level) for check in outcome.checks]
    return {
        "name": outcome.case.name,
        "theme": outcome.theme.name,
        "question": outcome.case.question,
        "truth": outcome.case.truth,
        "passed": outcome.passed(level),
        "expected": {check["what"]: check["expected"] for check in checks},
        "measured": {check["what"]: check["measured"] for check in checks},
        "checks": checks,
        "error": outcome.error,
        "seconds": round(outcome.seconds, 2),
    }


def attempt(theme: Theme, case: Case, effort: Effort) -> Outcome:
    """Run one case, and once more where an effect is in doubt; an error becomes its outcome."""
    start = time.process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ControlsWarning)  # naive practices are warned of
            checks = checked(case.run, effort)
        _refuse(checks)
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        line = f"{type(error).__name__}: {error} ({Path(last.filename).name}, line {last.lineno})"
        return Outcome(theme, case, (), time.process_time() - start, line, traceback.format_exc())
    return Outcome(theme, case, checks, time.process_time() - start)


def _refuse(checks: Sequence[Check]) -> None:
    """Refuse a case that checks nothing, or two things of one name."""
    if not any(check.judged for check in checks):
        raise InputError("a case must return a check that can fail.")
    names = [check.what for check in checks]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"what each check of a case is about must differ, got {twice[0]!r} twice.")
