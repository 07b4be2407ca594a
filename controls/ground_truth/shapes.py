"""Shapes: arrays at the doors of the worlds, as finite numbers of the shape that is asked for, or one sentence."""

from __future__ import annotations

from typing import Any

import numpy as np

from controls.core.errors import InputError, InputTypeError


def shaped(value: Any, name: str, shape: tuple[int | str, ...]) -> np.ndarray:
    """Return an array of finite numbers in float64 whose shape is ``shape``, where a letter stands for any length.

    Examples
    --------
    >>> shaped([[1, 0]], "X", ("n", 2)).shape
    (1, 2)
    """
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputTypeError(f"{name} must be an array of numbers, got {type(value).__name__} ({error}).") from error
    fits = array.ndim == len(shape) and all(
        isinstance(asked, str) or asked == size for asked, size in zip(shape, array.shape, strict=True)
    )
    if not fits or 0 in array.shape:
        asked = ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "")
        raise InputError(f"{name} must have shape ({asked}), got {array.shape}.")
    if not np.isfinite(array).all():
        raise InputError(f"{name} must be finite, got NaN or infinite values.")
    return array


def places(value: Any, name: str, count: int) -> np.ndarray:
    """Return whole numbers from 0 to ``count`` − 1, shape (n,)."""
    array = np.atleast_1d(np.asarray(value))
    if array.ndim != 1 or array.dtype.kind not in "iu" or not len(array):
        raise InputTypeError(f"{name} must be whole numbers of shape (n,), got {value!r}.")
    if array.min() < 0 or array.max() >= count:
        raise InputError(f"{name} must lie between 0 and {count - 1}, got {array.min()} to {array.max()}.")
    return array
