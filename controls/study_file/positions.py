"""On which line of a TOML text each key stands: tomllib reads values and says nothing of places."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator

Path = tuple[str | int, ...]  # keys, and positions in arrays

_SPACE = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BLANK = re.compile(r"[ \t]*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(r'"""(?:\\.|[^\\])*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'', re.S)
_SCALAR = re.compile(r"[^,\]}#\r\n]+")


def lines_of(text: str) -> dict[Path, int]:
    """Return the line of every key, table and element of an array in a valid TOML text, counted from 1.

    Examples
    --------
    >>> lines_of('a.b = 1\\n[[c]]\\nd = [{e = 2}]\\n')[("c", 0, "d", 0, "e")]
    3
    """
    return _Scanner(text).scan()


class _Scanner:
    """Walks over a text that tomllib has read without complaint, and so checks nothing."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.place = 0
        self.lines: dict[Path, int] = {}
        self.last: dict[Path, int] = {}  # position of the latest element of each array of tables

    def scan(self) -> dict[Path, int]:
        table: Path = ()
        self._skip(_SPACE)
        while self.place < len(self.text):
            if self.text[self.place] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip(_SPACE)
        return self.lines

    def _header(self) -> Path:
        """Read ``[a.b]`` or ``[[a.b]]``; return the path of the table that begins."""
        line, many = self._line(), self.text.startswith("[[", self.place)
        self.place += 1 + many
        path: Path = ()
        keys = self._keys()
        for number, key in enumerate(keys):
            path = (*path, key)
            if many and number == len(keys) - 1:
                self.last[path] = self.last.get(path, -1) + 1
                self.lines.setdefault(path, line)
            if path in self.last:
                path = (*path, self.last[path])
            self.lines.setdefault(path, line)
        self.place += 1 + many
        return path

    def _pair(self, table: Path) -> None:
        """Read ``a.b = value``."""
        line, path = self._line(), table
        for key in self._keys():
            path = (*path, key)
            self.lines.setdefault(path, line)
        self.place += 1  # the equals sign
        self._value(path)

    def _keys(self) -> list[str]:
        keys = []
        while True:
            self._skip(_BLANK)
            match = _BARE.match(self.text, self.place) or _STRING.match(self.text, self.place)
            assert match is not None
            self.place = match.end()
            bare = match[0][0] not in "\"'"
            keys.append(match[0] if bare else tomllib.loads(f"key = {match[0]}")["key"])
            self._skip(_BLANK)
            if self.text[self.place] != ".":
                return keys
            self.place += 1

    def _value(self, path: Path) -> None:
        self._skip(_BLANK)
        start = self.text[self.place]
        if start == "[":
            self._array(path)
        elif start == "{":
            self._inline_table(path)
        else:
            match = (_STRING if start in "\"'" else _SCALAR).match(self.text, self.place)
            assert match is not None
            self.place = match.end()

    def _array(self, path: Path) -> None:
        for number in self._parts("]"):
            self.lines[*path, number] = self._line()
            self._value((*path, number))

    def _inline_table(self, path: Path) -> None:
        for _ in self._parts("}"):
            self._pair(path)

    def _parts(self, end: str) -> Iterator[int]:
        """Stop at each part between commas, and pass the closing bracket."""
        self.place += 1
        number = 0
        self._skip(_SPACE)
        while self.text[self.place] != end:
            yield number
            number += 1
            self._skip(_SPACE)
            if self.text[self.place] == ",":
                self.place += 1
                self._skip(_SPACE)
        self.place += 1

    def _line(self) -> int:
        return self.text.count("\n", 0, self.place) + 1

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self.text, self.place)
        assert match is not None
        self.place = match.end()
