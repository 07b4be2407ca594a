"""Trainers, controls and scoring of a study file, made from their tables."""

from __future__ import annotations

import inspect
from functools import partial
from typing import Any

from controls.core.control import Control
from controls.core.errors import ControlsError, InputError, InputTypeError, unknown_name
from controls.study_file.names import built_in_controls, built_in_trainers, find, made
from controls.study_file.table import Table


def trainer_of(table: Table, *, imports: bool) -> Any:
    """Return the trainer that a table names, with its parameters."""
    use, parameters = _split(table)
    try:
        found = find(use, built_in_trainers(), "trainer", imports=imports)
    except ControlsError as error:
        raise table.located(error, "use") from error
    try:
        if ":" not in use:
            return made(found, parameters, use)
        return _from_elsewhere(found, use, parameters)
    except ControlsError as error:
        raise table.located(error, _parameter_in(error, parameters)) from error


def control_of(table: Table, *, imports: bool) -> Control:
    """Return the control that a table names, with its parameters."""
    use, parameters = _split(table)
    if use == "compose":
        return _composed(table, imports=imports)
    known = built_in_controls()
    try:
        kind = find(use, {**known, "compose": None}, "control", imports=imports)
    except ControlsError as error:
        raise table.located(error, "use") from error
    if not (isinstance(kind, type) and issubclass(kind, Control)):
        raise table.located(InputTypeError(f"control {use!r} must be a class of Control, got {kind!r}."), "use")
    try:
        return made(kind, parameters, kind.__name__)
    except ControlsError as error:
        raise table.located(error, _parameter_in(error, parameters)) from error


def scoring_of(table: Table, *, imports: bool) -> Any:
    """Return the scoring that a table gives: a name, or what ``module:name`` names."""
    scoring = table.get("scoring", str)
    if scoring is None or ":" not in scoring:
        return scoring
    try:
        return find(scoring, {}, "scoring", imports=imports)
    except ControlsError as error:
        raise table.located(error, "scoring") from error


def _composed(table: Table, *, imports: bool) -> Control:
    from controls.core.compose import compose

    table.only(("use", "parts"))
    parts = [control_of(part, imports=imports) for part in table.tables("parts")]
    try:
        return compose(*parts)
    except ControlsError as error:
        raise table.located(error, "parts") from error


def _split(table: Table) -> tuple[str, dict[str, Any]]:
    use = table.need("use", str, 'write use = "..."')
    return use, {key: value for key, value in table.values.items() if key != "use"}


def _parameter_in(error: Exception, parameters: dict[str, Any]) -> str | None:
    """Return the parameter that a sentence is about, to find its line."""
    words = str(error).replace("'", " ").replace("=", " ").split()
    return next((word for word in words if word in parameters), None)


def _from_elsewhere(found: Any, use: str, parameters: dict[str, Any]) -> Any:
    if isinstance(found, type):
        return _called(found, use, parameters)
    if hasattr(found, "fit") and hasattr(found, "set_params"):
        from sklearn.base import clone

        _refuse_unknown(parameters, found.get_params(), use)
        copied: Any = clone(found)
        return copied.set_params(**parameters)
    if not callable(found) and not hasattr(found, "fit"):
        raise InputTypeError(
            f"trainer {use!r} must be a class, an estimator or a function fit(X, y), got {type(found).__name__}."
        )
    if not parameters:
        return found
    if not inspect.isroutine(found):
        raise InputError(f"trainer {use!r} is made already and takes no parameters, got {', '.join(parameters)}.")
    _refuse_unknown(parameters, _named_parameters(found)[2:], use)
    return partial(found, **parameters)


def _called(kind: type, use: str, parameters: dict[str, Any]) -> Any:
    _refuse_unknown(parameters, _named_parameters(kind), use)
    try:
        return kind(**parameters)
    except ControlsError:
        raise
    except Exception as error:  # whatever the class raises
        raise InputError(f"trainer {use!r} cannot be made of these parameters: {error}.") from error


def _named_parameters(function: Any) -> list[str]:
    """Return the parameters of a callable by name; ``*`` where it takes any."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # some builtins have no signature
        return ["*"]
    free = any(item.kind is item.VAR_KEYWORD for item in parameters.values())
    named = [name for name, item in parameters.items() if item.kind in (item.POSITIONAL_OR_KEYWORD, item.KEYWORD_ONLY)]
    return [*named, *(["*"] if free else [])]


def _refuse_unknown(parameters: dict[str, Any], known: Any, use: str) -> None:
    for name in parameters:
        if name not in known and "*" not in known:
            raise unknown_name(f"parameter of {use}", name, known)
