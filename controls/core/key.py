"""Content keys: one short text that is the same exactly where the content is the same."""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cached_property, partial
from importlib import import_module
from types import CodeType
from typing import Any

import numpy as np

from controls.core.arrays import is_sparse
from controls.core.errors import InputError

_CHUNK = 1 << 24  # bytes of an array that are read at a time
_GENERATED = "<string>"  # the file of the methods that dataclass writes
_CONSTANTS = (type(None), bool, int, float, complex, str, bytes)


class NoContent(InputError):
    """An object whose content cannot be keyed (a lambda, a closure) and that was given no key."""


def content_key(value: Any, *, code: bool = True) -> str:
    """Return a hash of what ``value`` holds.

    Arrays go in by their bytes, objects by class and parameters (or attributes), code by qualified
    name, package version and source. The source of code that belongs to no versioned package (a
    script, a notebook) takes in what it names of such code (functions, classes, by way of a module
    too), the data that it names (constants, lists, dicts, arrays, objects that have a content), and
    the values of its defaults, so that a change in a helper or a setting changes the key too.

    Parameters
    ----------
    value : object
    code : bool, default True
        Whether the version and the source of classes count; those of functions always do. Without
        them, and without parameters at their defaults, the key names what was asked for: random
        streams go by it, and stay as they are when a class learns something new.

    Raises
    ------
    NoContent
        For a lambda, a closure, or an object without anything to read.

    Notes
    -----
    Reads arrays in parts of 16 MiB: memory-mapped ones are never held whole.

    Examples
    --------
    >>> content_key({"a": 1}) == content_key({"a": 1}), content_key([1]) == content_key([2])
    (True, False)
    """
    reader = _Reader(code)
    reader.feed(value)
    return reader.digest.hexdigest()[:24]


class _Reader:
    """Feeds content to a hash, each piece with its type, so that no two contents read the same."""

    def __init__(self, code: bool, inside: tuple[int, ...] = (), read: frozenset[int] = frozenset()) -> None:
        self.digest = hashlib.sha256()
        self._code = code
        self._inside = list(inside)  # the objects being read: one inside itself has no end
        self._read = set(read)  # functions and classes whose source was read already, of which two may have one name

    def feed(self, value: Any) -> None:
        """Read anything."""
        if isinstance(value, (type(None), bool, int, float, str, bytes)):
            self._write(f"{type(value).__name__}={value!r};")
        elif isinstance(value, (np.ndarray, np.generic)):
            self._array(np.asarray(value))
        elif is_sparse(value):
            rows = value.tocsr()
            self.feed(("csr", rows.shape, rows.data, rows.indices.astype(np.int64), rows.indptr.astype(np.int64)))
        elif isinstance(value, Mapping):
            self._write("{")
            for name in value:
                self.feed(name)
                self.feed(value[name])
            self._write("}")
        elif isinstance(value, (list, tuple, frozenset, set)):
            items = sorted(value, key=repr) if isinstance(value, (set, frozenset)) else value
            self._write(f"{type(value).__name__}[")
            for item in items:
                self.feed(item)
            self._write("]")
        else:
            self._object(value)

    def _write(self, text: str) -> None:
        self.digest.update(text.encode("utf-8", "surrogatepass"))

    def _array(self, array: np.ndarray) -> None:
        if array.dtype.hasobject:  # its bytes are addresses
            self.feed((array.shape, array.ravel().tolist()))
            return
        self._write(f"array:{array.dtype.str}:{array.shape};")
        rows = max(1, _CHUNK // max(1, array[:1].nbytes)) if array.ndim else 1
        for start in range(0, len(array) if array.ndim else 1, rows):
            part = array[start : start + rows] if array.ndim else array
            self.digest.update(np.ascontiguousarray(part).tobytes())

    def _object(self, value: Any) -> None:
        if isinstance(value, partial):
            self.feed(("partial", value.args, dict(value.keywords), value.func))
        elif inspect.isfunction(value) or inspect.isbuiltin(value):
            self._function(value)
        elif inspect.isclass(value):
            self._class(value)
        else:
            if id(value) in self._inside:
                raise _no_content(value)
            self._inside.append(id(value))
            content = _content_of(value, every=self._code)
            self._class(type(value))
            self.feed(content)
            self._inside.pop()

    def _function(self, function: Any) -> None:
        name = f"{function.__module__}.{function.__qualname__}"
        if "<lambda>" in name or "<locals>" in name or getattr(function, "__closure__", None):
            raise NoContent(
                f"{name} is a lambda or a function inside a function, whose content has no stable key; "
                "define it at the top of a module, or give the study a key= of your own."
            )
        if inspect.isbuiltin(function) and inspect.ismodule(function.__self__) is False:
            raise _no_content(function)  # a method of an object that may hold anything
        self.feed((name, _version(function.__module__)))
        self._source(function)

    def _class(self, kind: type) -> None:
        name = f"{kind.__module__}.{kind.__qualname__}"
        self.feed(name)
        if self._code:
            self.feed(_version(kind.__module__))
        if self._code and _is_own_code(kind.__module__):
            self._source(kind)

    def _source(self, item: Any) -> None:
        """Read source, and of code without a version also the code and constants that it names."""
        if id(item) in self._read:
            return
        self._read.add(id(item))
        self.feed(_source_of(item))
        if not _is_own_code(item.__module__):
            return
        for kind in item.__mro__[1:] if inspect.isclass(item) else ():
            if _is_own_code(kind.__module__):
                self._source(kind)
        for named, value in _named_in(item):
            self._named(named, value)
        for named, value in _closed_over(item):
            self._named(named, value, must=True)

    def _named(self, name: str, value: Any, *, must: bool = False) -> None:
        """Read what code names: other code by its source, data by its content, as far as it has one."""
        value = _unwrapped(value)
        if inspect.isfunction(value) or inspect.isclass(value):
            if _is_own_code(value.__module__):
                self._source(value)
        elif _is_plain(value) or (self._code and not inspect.ismodule(value)):
            part = _Reader(self._code, tuple(self._inside), frozenset(self._read))
            try:
                part.feed(value)
            except (NoContent, RecursionError):
                if must:
                    raise
                return
            self._read |= part._read
            self.feed((name, part.digest.hexdigest()))


def _content_of(value: Any, *, every: bool) -> Any:
    """Return what tells an object from others of its class; parameters at their defaults only if ``every``."""
    if _has(value, "detach") and _has(value, "cpu"):  # a torch tensor, recognised without importing torch
        return str(value.dtype), np.asarray(value.detach().cpu().contiguous().flatten().tolist()), tuple(value.shape)
    if _has(value, "get_params"):
        return dict(sorted(value.get_params(deep=False).items()))
    if is_dataclass(value):
        given = {item.name: (getattr(value, item.name), item.default) for item in fields(value)}
        return {name: part for name, (part, default) in given.items() if every or not _is(part, default)}
    if inspect.isroutine(value) or not hasattr(value, "__dict__") or not _is_python(type(value)):
        raise _no_content(value)
    return dict(sorted(vars(value).items()))


def _has(value: Any, method: str) -> bool:
    """Whether objects of this class have a method; some objects answer to every name."""
    return callable(getattr(type(value), method, None))


def _is(value: Any, default: Any) -> bool:
    return value is default or (type(value) is type(default) and isinstance(default, _CONSTANTS) and value == default)


def _no_content(value: Any) -> NoContent:
    return NoContent(
        f"{value!r} has no content to make a key of; give the study a key= of your own that changes when it does."
    )


def _is_python(kind: type) -> bool:
    """Whether a class is written in Python, so that its attributes are all there is to it."""
    return str(getattr(sys.modules.get(kind.__module__), "__file__", None) or "").endswith(".py")


def _is_own_code(module: str) -> bool:
    """Whether code belongs to no package with a version: then its source alone tells what it does."""
    return module.split(".")[0] not in sys.stdlib_module_names - {"__main__"} and not _version(module)


def _source_of(item: Any) -> str:
    try:
        return inspect.getsource(item)
    except (OSError, TypeError):  # typed into a prompt, or compiled
        compiled = getattr(item, "__code__", None)
        return "" if compiled is None else "".join(f"{c.co_code.hex()}{_plain(c)!r}" for c in _codes(compiled))


def _plain(compiled: CodeType) -> list[Any]:
    return [constant for constant in compiled.co_consts if not isinstance(constant, CodeType)]


def _is_plain(value: Any) -> bool:
    """Whether a value is a constant, or a tuple of such."""
    return all(isinstance(part, _CONSTANTS) for part in (value if isinstance(value, tuple) else (value,)))


def _unwrapped(value: Any) -> Any:
    """Return what stands behind decorators that say so."""
    return inspect.unwrap(value) if callable(value) else value


def _named_in(item: Any) -> Iterator[tuple[str, Any]]:
    """Yield the globals that a function, or the methods of a class, name; the defaults, and the class's own data."""
    for place, part in _parts_of(item):
        if not inspect.isfunction(part):
            yield place, part
            continue
        yield f"{place} defaults", (part.__defaults__, part.__kwdefaults__)
        for compiled in _codes(part.__code__):
            for name in compiled.co_names:
                if name in part.__globals__:
                    yield name, part.__globals__[name]
                    yield from _of_module(part.__globals__[name], compiled.co_names)


def _closed_over(item: Any) -> Iterator[tuple[str, Any]]:
    """Yield what functions hold of the function that they, or their class, stand in."""
    for _, part in _parts_of(item):
        if inspect.isfunction(part):
            cells = zip(part.__code__.co_freevars, part.__closure__ or (), strict=True)
            yield from ((name, cell.cell_contents) for name, cell in cells if name != "__class__")


def _parts_of(item: Any) -> Iterator[tuple[str, Any]]:
    """Yield a function, or what a class holds: its functions, also behind properties and the like, and its data."""
    for name, part in vars(item).items() if inspect.isclass(item) else [("", item)]:
        found = [part]
        if isinstance(part, property):
            found = [function for function in (part.fget, part.fset, part.fdel) if function is not None]
        elif isinstance(part, (staticmethod, classmethod)):
            found = [part.__func__]
        elif isinstance(part, cached_property):
            found = [part.func]
        for value in map(_unwrapped, found):
            if not name.startswith("__") or (inspect.isfunction(value) and not _is_generated(item, value)):
                yield name, value


def _is_generated(kind: Any, method: Any) -> bool:
    """Whether a special method was written by dataclass: its fields say all that it holds."""
    return is_dataclass(kind) and method.__code__.co_filename == _GENERATED


def _of_module(value: Any, names: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """Yield, of a module that belongs to no versioned package, what may be asked of it by these names."""
    if inspect.ismodule(value) and _is_own_code(value.__name__):
        yield from ((name, vars(value)[name]) for name in names if name in vars(value))


def _codes(compiled: CodeType) -> Iterator[CodeType]:
    """Yield a function's code and that of the functions inside it."""
    yield compiled
    for constant in compiled.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _version(module: str) -> str:
    try:
        return str(getattr(import_module(module.split(".")[0]), "__version__", ""))
    except ImportError:
        return ""
