"""From what ``fit(X, y, groups=, unit=)`` was given to a problem, and to the battery that it gets by default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controls.core.control import Control
from controls.core.errors import InputError, InputTypeError
from controls.core.problem import Problem
from controls.generators.labels import ShuffleLabels

GROUPS = "groups"  # the name of one column that was given without a name


def as_problem(X: Any, y: Any, groups: Any = None, unit: str | None = None) -> Problem:
    """Return the problem of these rows.

    Parameters
    ----------
    X : array-like of shape (n, d)
    y : array-like of shape (n,)
    groups : array-like of shape (n,), mapping of names to columns, or data frame, optional
        A single column is the unit, by the name ``unit``, or "groups" where that is None.
    unit : str, optional
        Which of several columns is independent.
    """
    if unit is not None and not isinstance(unit, str):
        raise InputTypeError(
            f"unit must be the name of a column in groups, got {type(unit).__name__}; give the column as groups=."
        )
    X = X.tocsr() if hasattr(X, "tocsr") else X  # a sparse matrix of one kind is a mapping too
    if groups is None or isinstance(groups, Mapping):
        return Problem(X, y, groups or {}, unit)
    if hasattr(groups, "columns"):
        return Problem(X, y, {name: groups[name] for name in groups.columns}, unit)
    name = unit or GROUPS
    return Problem(X, y, {name: groups}, name)


def require_difference(problem: Problem) -> None:
    """Refuse labels that are all the same, of which every control would draw the same again."""
    if problem.labels is not None and len(problem.classes) < 2:
        only = problem.classes[0].item()
        raise InputError(
            f"y must hold at least two different labels, got 1 class ({only!r}) with n_samples={problem.n}: no control "
            "can change it; use the estimator without controls, or other rows."
        )


def default_controls(problem: Problem) -> tuple[Control, ...]:
    """Return the one shuffle that needs no more than the named unit to be valid.

    Rows change places freely where no unit is named; whole units where labels are constant in each;
    otherwise rows within their unit, since rows of different units need not be exchangeable. No
    rearrangement by the control that is chosen would have led to the choice of another one.
    """
    if problem.unit is None or problem.labels is None:
        return (ShuffleLabels(),)
    if problem.constant_within(problem.unit):
        return (ShuffleLabels(whole=problem.unit),)
    return (ShuffleLabels(within=problem.unit),)
