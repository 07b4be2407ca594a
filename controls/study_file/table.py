"""A table of a study file that knows where it is written, so that every complaint names a line."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, final

from controls.core.errors import ControlsError, InputError, InputTypeError, unknown_name
from controls.study_file import positions

E = TypeVar("E", bound=ControlsError)

_WORDS: dict[type, str] = {str: "a text", int: "a whole number", float: "a number", dict: "a table", list: "a list"}


@final
@dataclass(frozen=True)
class Table:
    """Keys and values, and their lines."""

    file: str  # as shown in errors
    values: Mapping[str, Any]
    path: positions.Path = ()
    lines: Mapping[positions.Path, int] = field(default_factory=dict, repr=False)

    def where(self, key: str | None = None) -> str:
        """Return the place of a key, or of the table itself, in words."""
        return f"{self.file}, line {self.line(key)}"

    def line(self, key: str | None = None) -> int:
        """Return the line of a key; that of the table where it has none such."""
        here = self.lines.get(self.path, 1)
        return here if key is None else self.lines.get((*self.path, key), here)

    def located(self, error: E, key: str | None = None) -> E:
        """Return an error of the same kind that names the place first."""
        return type(error)(f"{self.where(key)}: {error}")

    def refuse(self, key: str | None, sentence: str) -> InputError:
        """Return the error for a value that cannot be used."""
        return self.located(InputError(sentence), key)

    def only(self, allowed: Iterable[str]) -> None:
        """Refuse a key that is not among those allowed, with the nearest that is."""
        known = list(allowed)
        for key in self.values:
            if key not in known:
                raise self.located(unknown_name("key", key, known), key)

    def get(self, key: str, kind: type, default: Any = None) -> Any:
        """Return a value of a kind; the default where the key is missing."""
        if key not in self.values:
            return default
        value = self.values[key]
        fits = isinstance(value, (int, float) if kind is float else kind)
        if not fits or (isinstance(value, bool) and kind is not bool):
            got = _WORDS.get(type(value), "the value")
            shown = "" if isinstance(value, (dict, list)) else f" {value!r}"
            raise self.located(InputTypeError(f"{key} must be {_WORDS[kind]}, got {got}{shown}."), key)
        return value

    def need(self, key: str, kind: type, advice: str) -> Any:
        """Return a value that must be there."""
        if key not in self.values:
            raise self.refuse(None, f"{key} is missing{self._inside()}; {advice}.")
        return self.get(key, kind)

    def table(self, key: str) -> Table:
        """Return the table under a key; an empty one where it is missing."""
        return Table(self.file, self.get(key, dict, {}), (*self.path, key), self.lines)

    def tables(self, key: str) -> tuple[Table, ...]:
        """Return the tables in a list under a key."""
        if isinstance(self.values.get(key), dict):
            raise self.refuse(key, f"{key} must be a list of tables, got one table; write [[{key}]].")
        given = self.get(key, list, [])
        for number, value in enumerate(given):
            if not isinstance(value, dict):
                sentence = f'{key} must be a list of tables with use = "...", got {value!r} at {number}.'
                raise self.located(InputTypeError(sentence), key)
        return tuple(Table(self.file, value, (*self.path, key, n), self.lines) for n, value in enumerate(given))

    def _shown(self) -> str:
        return f"[{'.'.join(part for part in self.path if isinstance(part, str))}]"

    def _inside(self) -> str:
        return f" in {self._shown()}" if self.path else ""


def read_table(path: Path) -> Table:
    """Return the root table of a TOML file; refuse one that is not there or not TOML."""
    try:
        text = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} must be a text in UTF-8, got other bytes ({error.reason}); save it again.") from None
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be read ({error.strerror or error}); give a study file.") from None
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} is not TOML: {error}.") from None
    return Table(str(path), values, (), positions.lines_of(text))
