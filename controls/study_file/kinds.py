"""Kinds of parameters: whether a value of a study file fits the annotation of the parameter it is for."""

from __future__ import annotations

import types
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

_WORDS = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", type(None): "left out"}


def hints_of(kind: type) -> dict[str, Any]:
    """Return the annotation of each field of a dataclass."""
    hints = get_type_hints(kind)
    return {item.name: hints[item.name] for item in fields(kind)}  # type: ignore[arg-type]


def is_plain(hint: Any) -> bool:
    """Whether a study file can write some value of this kind."""
    if get_origin(hint) in (Union, types.UnionType):
        return any(is_plain(part) for part in get_args(hint) if part is not type(None))
    if get_origin(hint) in (tuple, list, Sequence):
        return all(is_plain(part) for part in get_args(hint) if part is not ...)
    return hint in (str, int, float, bool) or get_origin(hint) is Literal


def fits(value: Any, hint: Any) -> bool:
    """Whether a value read from TOML is of a kind.

    Examples
    --------
    >>> fits(1, float), fits(True, int), fits(["a"], str | tuple[str, ...]), fits("a", Literal["a", "b"])
    (True, False, True, True)
    """
    if get_origin(hint) in (Union, types.UnionType):
        return any(fits(value, part) for part in get_args(hint))
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if get_origin(hint) in (tuple, list, Sequence):
        return isinstance(value, list) and _elements_fit(value, get_args(hint))
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return type(value) is hint


def words_of(hint: Any) -> str:
    """Return a kind in words."""
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(words_of(part) for part in get_args(hint) if part is not type(None))
    if get_origin(hint) is Literal:
        return " or ".join(map(repr, get_args(hint)))
    if get_origin(hint) in (tuple, list, Sequence):
        return "a list"
    return _WORDS.get(hint, str(hint))


def _elements_fit(values: list[Any], parts: tuple[Any, ...]) -> bool:
    if len(parts) == 1 or parts[1:] == (...,):
        return all(fits(value, parts[0]) for value in values)
    return len(values) == len(parts) and all(map(fits, values, parts))
