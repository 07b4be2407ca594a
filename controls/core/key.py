"""Content keys: one short text that is the same exactly where the content is the same."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from controls.core.arrays import is_sparse
from controls.core.errors import InputError


class NoContent(InputError):
    """An object whose content cannot be keyed (a lambda, a closure) and that was given no key."""


def content_key(value: Any) -> str:
    """Return a hash of what ``value`` holds: arrays by bytes, code by name, parameters, version and source.

    Raises
    ------
    NoContent
        For a lambda, a closure, or an object without parameters to read.

    Examples
    --------
    >>> content_key({"a": 1}) == content_key({"a": 1}), content_key([1]) == content_key([2])
    (True, False)
    """
    digest = hashlib.sha256()
    _feed(digest, value)
    return digest.hexdigest()[:24]


def _feed(digest: Any, value: Any) -> None:
    if value is None or isinstance(value, (bool, int, float, str, bytes)):
        digest.update(f"{type(value).__name__}={value!r};".encode())
    elif isinstance(value, (np.ndarray, np.generic)):
        _feed_array(digest, np.asarray(value))
    elif is_sparse(value):
        rows = value.tocsr()
        _feed(digest, ("csr", rows.shape, rows.data, rows.indices.astype(np.int64), rows.indptr.astype(np.int64)))
    elif isinstance(value, Mapping):
        digest.update(b"{")
        for name in value:
            _feed(digest, name)
            _feed(digest, value[name])
        digest.update(b"}")
    elif isinstance(value, (list, tuple, frozenset, set)):
        items = sorted(value, key=repr) if isinstance(value, (set, frozenset)) else value
        digest.update(f"{type(value).__name__}[".encode())
        for item in items:
            _feed(digest, item)
        digest.update(b"]")
    else:
        _feed_object(digest, value)


def _feed_array(digest: Any, array: np.ndarray) -> None:
    if array.dtype.hasobject:  # its bytes are addresses
        _feed(digest, (array.shape, array.ravel().tolist()))
        return
    digest.update(f"array:{array.dtype.str}:{array.shape};".encode())
    rows = max(1, (1 << 24) // max(1, array[:1].nbytes)) if array.ndim else 1
    for start in range(0, len(array) if array.ndim else 1, rows):
        part = array[start : start + rows] if array.ndim else array
        digest.update(np.ascontiguousarray(part).tobytes())


def _feed_object(digest: Any, value: Any) -> None:
    if isinstance(value, partial):
        _feed(digest, ("partial", value.args, dict(value.keywords)))
        _feed_object(digest, value.func)
    elif inspect.isfunction(value) or inspect.isbuiltin(value):
        _feed_function(digest, value)
    elif inspect.isclass(value):
        _feed(digest, _name_of(value))
    elif hasattr(value, "get_params"):
        _feed(digest, (_name_of(type(value)), dict(sorted(value.get_params(deep=False).items()))))
    elif is_dataclass(value):
        shown = {item.name: getattr(value, item.name) for item in fields(value)}
        _feed(digest, (_name_of(type(value)), shown))
    else:
        raise NoContent(
            f"{value!r} has no content to make a key of; give the study a key= of your own that changes when it does."
        )


def _feed_function(digest: Any, function: Any) -> None:
    name = f"{function.__module__}.{function.__qualname__}"
    closure = getattr(function, "__closure__", None)
    if "<lambda>" in name or "<locals>" in name or closure:
        raise NoContent(
            f"{name} is a lambda or a function inside a function, whose content has no stable key; "
            "define it at the top of a module, or give the study a key= of your own."
        )
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError):
        source = ""
    _feed(digest, (name, _version(function.__module__), source))


def _name_of(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}@{_version(kind.__module__)}"


def _version(module: str) -> str:
    try:
        return str(getattr(import_module(module.split(".")[0]), "__version__", ""))
    except ImportError:
        return ""
