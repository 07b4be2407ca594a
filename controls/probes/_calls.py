"""Calls of other people's code, whose failures are said in one sentence."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from controls.core.errors import ControlsError, TrainerError


def name_of(value: Any) -> str:
    """Return the name of a function, also of one with bound arguments, or of an object's class."""
    if isinstance(value, partial) and not hasattr(value, "__name__"):
        return name_of(value.func)
    return getattr(value, "__name__", None) or type(value).__name__


def call(what: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Return ``function(*args)``; raise TrainerError, with the cause, where it fails."""
    try:
        return function(*args, **kwargs)
    except ControlsError:
        raise
    except Exception as error:
        raise TrainerError(f"{what} failed with {type(error).__name__}: {error}") from error
