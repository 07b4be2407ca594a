"""The checks as pytest parameters: one test per control, or trainer, and check."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from controls.core.control import Control, describe
from controls.core.errors import unknown_name
from controls.core.problem import Problem
from controls.testing.control_checks import yield_control_checks

Expected = Callable[[Any], Mapping[str, str]]


def parametrize_with_control_checks(
    controls: Iterable[Control],
    problem: Problem | None = None,
    *,
    expected_failures: Expected | None = None,
    draws: int = 200,
    seed: int = 0,
) -> Any:
    """Return a pytest mark that calls a test with every control and every check of it.

    Parameters
    ----------
    controls : iterable of Control
    problem : Problem, optional
        One that suits all of them; built-in problems where None.
    expected_failures : callable, optional
        ``expected_failures(control)`` returns the checks that are known to fail, and for each the
        reason. They are marked ``xfail``, strictly: passing is then a failure.
    draws, seed : int
        As in check_control.

    Raises
    ------
    NameNotFound
        An expected failure names no check.

    Examples
    --------
    ::

        @parametrize_with_control_checks([MyControl(), MyControl(per="word")])
        def test_my_controls(control, check):
            check()
    """
    rows = []
    for control in controls:
        known = {} if expected_failures is None else expected_failures(control)
        checks = dict(yield_control_checks(control, problem, draws=draws, seed=seed))
        rows += _rows(control, describe(control), checks, known)
    return _mark("control,check", rows)


def parametrize_with_trainer_checks(
    trainers: Iterable[Any],
    problem: Problem | None = None,
    *,
    expected_failures: Expected | None = None,
    seed: int = 0,
) -> Any:
    """Return a pytest mark that calls a test with every trainer and every check of it.

    Parameters are those of parametrize_with_control_checks, for trainers (whatever ``controls.measure``
    takes); the test has parameters ``trainer`` and ``check``.
    """
    from controls.testing.trainer_checks import yield_trainer_checks

    rows = []
    for trainer in trainers:
        known = {} if expected_failures is None else expected_failures(trainer)
        checks = dict(yield_trainer_checks(trainer, problem, seed=seed))
        rows += _rows(trainer, getattr(trainer, "__name__", None) or repr(trainer), checks, known)
    return _mark("trainer,check", rows)


def _rows(subject: Any, name: str, checks: Mapping[str, Any], known: Mapping[str, str]) -> list[Any]:
    import pytest

    for check in known:
        if check not in checks:
            raise unknown_name("check", check, checks)
    rows = []
    for check, run in checks.items():
        marks = [pytest.mark.xfail(reason=known[check], strict=True)] if check in known else []
        rows.append(pytest.param(subject, run, marks=marks, id=f"{name}-{check}"))
    return rows


def _mark(names: str, rows: list[Any]) -> Any:
    import pytest

    return pytest.mark.parametrize(names, rows)
