"""From names in a study file to objects: our own by name, those of others by ``module:name``."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any

from controls.core.control import Control
from controls.core.errors import InputError, InputTypeError, unknown_name
from controls.core.trainer import Trainer


def built_in_controls() -> dict[str, type[Control]]:
    """Return the public controls by name."""
    import controls

    public = ((name, getattr(controls, name)) for name in controls.__all__ if name[0].isupper())
    return {name: thing for name, thing in public if _is_concrete(thing, Control)}


def built_in_trainers() -> dict[str, type[Trainer]]:
    """Return the public probes and finders that need nothing but plain parameters, by name."""
    from controls import finders, probes

    public = ((name, getattr(home, name)) for home in (probes, finders) for name in home.__all__)
    return {name: thing for name, thing in public if _is_concrete(thing, Trainer) and _plain(thing)}


def find(use: str, built_in: dict[str, Any], what: str, *, imports: bool) -> Any:
    """Return what ``use`` names: something built in, or ``name`` in ``module`` for ``module:name``.

    Raises
    ------
    InputError
        Not known, not allowed to be imported, or it cannot be imported: the sentence says why.
    """
    if ":" not in use:
        if use in built_in:
            return built_in[use]
        module, _, name = use.rpartition(".")
        advice = f"Write {module}:{name} to import it." if module else f"Name your own {what} as module:name."
        raise unknown_name(what, use, built_in, advice=advice)
    if not imports:
        raise InputError(
            f"{what} {use!r} is refused: with --no-import nothing is imported; built in are: "
            f"{', '.join(sorted(built_in))}."
        )
    return _imported(use, what)


def _imported(use: str, what: str) -> Any:
    module_name, _, name = use.partition(":")
    if not module_name or not name or not all(part.isidentifier() for part in f"{module_name}.{name}".split(".")):
        raise InputError(f"{what} must be named as module:name, got {use!r}; write sklearn.svm:LinearSVC, for example.")
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise InputError(
            f"{what} {use!r} cannot be imported: there is no module {error.name!r} on the path or in the folder of "
            "the study file."
        ) from error
    except (Exception, SystemExit) as error:  # whatever the module's own code raises
        raise InputError(
            f"{what} {use!r} cannot be imported: {module_name} fails with {type(error).__name__}: {error}."
        ) from error
    for part in name.split("."):
        if not hasattr(found, part):
            public = [each for each in dir(found) if not each.startswith("_")]
            raise unknown_name(f"{what} {use!r} cannot be imported: in {module_name}, the name", part, public)
        found = getattr(found, part)
    return found


@contextmanager
def importable(folder: Path, *, imports: bool) -> Iterator[None]:
    """Let modules in a folder be imported while this lasts, where anything may be; installed ones come first."""
    entry = str(folder.resolve())
    if imports:
        sys.path.append(entry)
    try:
        yield
    finally:
        if imports:
            sys.path.remove(entry)


def made(kind: Any, parameters: dict[str, Any], what: str) -> Any:
    """Return an instance of a frozen dataclass of ours; refuse parameters of other names and kinds."""
    from controls.study_file.kinds import fits, hints_of, is_plain, words_of

    hints = {name: hint for name, hint in hints_of(kind).items() if is_plain(hint)}
    for name, value in parameters.items():
        if name not in hints:
            raise unknown_name(f"parameter of {what}", name, hints)
        if not fits(value, hints[name]):
            raise InputTypeError(f"{name} of {what} must be {words_of(hints[name])}, got {value!r}.")
    missing = [item.name for item in fields(kind) if _needed(item) and item.name not in parameters]
    if missing:
        raise InputError(f"{what} needs {' and '.join(missing)}; write {missing[0]} = ... beside use.")
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in parameters.items()})


def _is_concrete(thing: Any, kind: type) -> bool:
    return isinstance(thing, type) and issubclass(thing, kind) and is_dataclass(thing)


def _plain(kind: Any) -> bool:
    from controls.study_file.kinds import hints_of, is_plain

    hints = hints_of(kind)
    return all(is_plain(hints[item.name]) for item in fields(kind) if _needed(item))


def _needed(item: Any) -> bool:
    return item.default is MISSING and item.default_factory is MISSING
