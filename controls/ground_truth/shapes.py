"""Shapes: arrays at the doors of the worlds, as finite numbers of the shape that is asked for, or one sentence."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from controls.core.errors import InputError, InputTypeError
from controls.core.validate import as_numpy, in_one_line


def numbers(value: Any, name: str) -> np.ndarray:
    """Return an array, of any kind and shape, in float64.

    Examples
    --------
    >>> numbers([1, 2], "y")
    array([1., 2.])
    """
    try:
        return np.asarray(as_numpy(value, name), dtype=np.float64)
    except (TypeError, ValueError) as error:
        words = " ".join(str(error).split())
        raise InputTypeError(f"{name} must be an array of numbers, got {type(value).__name__} ({words}).") from error


def shaped(value: Any, name: str, shape: tuple[int | str, ...]) -> np.ndarray:
    """Return an array of finite numbers in float64 whose shape is ``shape``, where a letter stands for any length.

    ``"B"`` may be 0: no columns.

    Examples
    --------
    >>> shaped([[1, 0]], "X", ("n", 2)).shape
    (1, 2)
    """
    array = numbers(value, name)
    fits = array.ndim == len(shape) and all(
        isinstance(asked, str) or asked == size for asked, size in zip(shape, array.shape, strict=True)
    )
    if not fits or any(size == 0 and asked not in (0, "B") for asked, size in zip(shape, array.shape, strict=True)):
        asked = ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "")
        raise InputError(f"{name} must have shape ({asked}), got {array.shape}.")
    if not np.isfinite(array).all():
        raise InputError(f"{name} must be finite, got NaN or infinite values.")
    return array


def rows_of(value: Any, name: str, m: int) -> np.ndarray:
    """Return numbers of shape (n, m), of any values, in float64."""
    array = numbers(value, name)
    if array.ndim != 2 or array.shape[1] != m:
        raise InputError(f"{name} must have shape (n, {m}), got {array.shape}.")
    return array


def places(value: Any, name: str, count: int) -> np.ndarray:
    """Return whole numbers from 0 to ``count`` − 1, shape (n,)."""
    array = np.atleast_1d(as_numpy(value, name))
    if array.ndim != 1 or array.dtype.kind not in "iu" or not len(array):
        raise InputTypeError(f"{name} must be whole numbers of shape (n,), got {in_one_line(value)}.")
    if array.min() < 0 or array.max() >= count:
        raise InputError(f"{name} must lie between 0 and {count - 1}, got {array.min()} to {array.max()}.")
    return array


def listed(value: Any, name: str) -> list[Any]:
    """Return what is in a sequence of sets of positions, such as pairs."""
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise InputTypeError(f"{name} must be a sequence, such as [(0, 1), (2, 3)], got {in_one_line(value)}.")
    return list(value)
