"""Store: a SQLite file that keeps what draws scored, so that a run killed at any moment goes on where it stopped.

A store holds studies, told apart by their titles. Of each it keeps the settings that decide what a
draw scores, and named parts: arrays, or a text. A part is written in one transaction with those that
it replaces, so that the file holds a moment of the run at all times.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from controls.core.errors import InputTypeError, StoreError
from controls.core.validate import plain_text

SCHEMA = 2
_APPLICATION = 0x6374726C  # "ctrl", in the header of the file
_MAGIC = b"SQLite format 3\0"
_WAIT = 60.0  # seconds that a writer waits for another
_TABLES = """
    CREATE TABLE studies (title TEXT PRIMARY KEY, settings TEXT NOT NULL);
    CREATE TABLE parts (title TEXT NOT NULL, name TEXT NOT NULL, content BLOB NOT NULL, checksum BLOB NOT NULL,
                        PRIMARY KEY (title, name));
"""


@dataclass(frozen=True)
class Setting:
    """One of the settings that decide what a draw scores."""

    key: str  # the same exactly where the setting is
    words: str


class Store:
    """An open store. Use it in a ``with`` statement.

    Parameters
    ----------
    path : str or path
        A file that is a store, or that is not there yet; its folder is made.

    Raises
    ------
    StoreError
        A file that is something else, damaged, of another version, or that cannot be written.
    """

    def __init__(self, path: Any) -> None:
        self.path = _checked_path(path)
        try:
            self._connection = self._opened()
        except sqlite3.Error as error:
            raise self._error(error, "opened") from error

    def __enter__(self) -> Store:
        """Return the store."""
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close the file."""
        self._connection.close()

    def titles(self) -> tuple[str, ...]:
        """Return the titles of the studies, in the order in which they came."""
        return tuple(title for (title,) in self._read("SELECT title FROM studies ORDER BY rowid"))

    def enter(self, title: str, settings: Mapping[str, Setting]) -> None:
        """Begin a study, or go on with one; refuse settings that differ from those it was begun with."""
        plain_text(title, "title")
        known = json.dumps({name: [item.key, item.words] for name, item in settings.items()})
        try:
            with self._connection:
                self._connection.execute("INSERT OR IGNORE INTO studies VALUES (?, ?)", (title, known))
        except sqlite3.Error as error:
            raise self._error(error, "written") from error
        ((begun,),) = self._read("SELECT settings FROM studies WHERE title = ?", title)
        differing = _differences(json.loads(begun), settings)
        if differing:
            raise StoreError(
                f"store {str(self.path)!r} holds {'the study ' + repr(title) if title else 'a study'} with other "
                f"settings: {'; '.join(differing)}. Go on with the settings it has, or name another store."
            )

    def get(self, title: str, name: str) -> bytes | None:
        """Return a part; None where there is none."""
        rows = self._read("SELECT content, checksum FROM parts WHERE title = ? AND name = ?", title, name)
        if not rows:
            return None
        ((content, checksum),) = rows
        if hashlib.sha256(content).digest() != checksum:
            raise StoreError(f"store {str(self.path)!r} is damaged: {name!r} is not what was written; start a new one.")
        return content

    def names(self, title: str, prefix: str) -> tuple[str, ...]:
        """Return the names of a study's parts that begin with a prefix."""
        rows = self._read(
            "SELECT name FROM parts WHERE title = ? AND substr(name, 1, ?) = ?", title, len(prefix), prefix
        )
        return tuple(name for (name,) in rows)

    def put(self, title: str, parts: Mapping[str, bytes], *, dropped: Iterable[str] = ()) -> None:
        """Write parts and drop others, all or nothing. Raises sqlite3.Error."""
        rows = [(title, name, content, hashlib.sha256(content).digest()) for name, content in parts.items()]
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany("INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?)", rows)
            gone = [(title, name) for name in dropped]
            self._connection.executemany("DELETE FROM parts WHERE title = ? AND name = ?", gone)

    def _read(self, statement: str, *values: Any) -> list[Any]:
        try:
            return self._connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise self._error(error, "read") from error

    def _opened(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=_WAIT)
        try:
            self._is_new(connection)  # before anything is written to it
            connection.execute("PRAGMA journal_mode = WAL").fetchone()  # file systems without it keep a journal
            connection.execute("PRAGMA synchronous = NORMAL")
            with connection:
                connection.execute("BEGIN IMMEDIATE")  # of two that begin a store, one waits
                self._begin(connection)
            ((found,),) = connection.execute("PRAGMA quick_check(1)").fetchall()
            if found != "ok":
                raise StoreError(f"store {str(self.path)!r} is damaged ({found}); start a new one.")
        except BaseException:
            connection.close()
            raise
        return connection

    def _begin(self, connection: sqlite3.Connection) -> None:
        """Make the tables of a new store."""
        if self._is_new(connection):
            for statement in _TABLES.strip().split(";")[:-1]:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {_APPLICATION}")
            connection.execute(f"PRAGMA user_version = {SCHEMA}")

    def _is_new(self, connection: sqlite3.Connection) -> bool:
        """Whether a file is still empty; refuse one that is no store, or one of another schema."""
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if application != _APPLICATION:
            if tables:
                raise _foreign(self.path)
            return True
        if version != SCHEMA:
            todo = "upgrade controls, or name another" if version > SCHEMA else "start a new"
            raise StoreError(
                f"store {str(self.path)!r} has schema {version}, and this version of controls reads {SCHEMA}; "
                f"{todo} store."
            )
        return False

    def _error(self, error: sqlite3.Error, done: str) -> StoreError:
        return StoreError(f"store {str(self.path)!r} cannot be {done} ({error}); {remedy(error)}.")


def is_store(path: Path) -> bool:
    """Whether a file is a store, by its header."""
    with path.open("rb") as file:
        header = file.read(72)
    return header.startswith(_MAGIC) and header[68:72] == _APPLICATION.to_bytes(4, "big")


def _checked_path(path: Any) -> Path:
    try:
        path = Path(path)
    except TypeError:
        raise InputTypeError(f"store must be the path of a file, got {type(path).__name__}.") from None
    header = b""
    try:
        if "\0" in str(path):
            raise ValueError("embedded null byte")
        if path.is_dir():
            raise StoreError(f"store must be the path of a file, got the folder {str(path)!r}; name a file in it.")
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            with path.open("rb") as file:
                header = file.read(len(_MAGIC))
    except StoreError:
        raise
    except (OSError, ValueError) as error:  # a path with a zero byte is a ValueError
        raise StoreError(
            f"store must be a file that can be read and written, got {str(path)!r} "
            f"({getattr(error, 'strerror', None) or error}); name another place."
        ) from error
    if header and header != _MAGIC:
        raise _foreign(path)
    return path


def _foreign(path: Path) -> StoreError:
    return StoreError(f"store must be a file that controls made, got {str(path)!r}, which is not; name another file.")


def remedy(error: sqlite3.Error) -> str:
    """Return what to do about an error of SQLite."""
    code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    return {
        sqlite3.SQLITE_FULL: "free some space",
        sqlite3.SQLITE_IOERR: "see whether its disk is full or gone",
        sqlite3.SQLITE_READONLY: "make the file and its folder writable, or name another place",
        sqlite3.SQLITE_CANTOPEN: "make the file and its folder writable, or name another place",
        sqlite3.SQLITE_BUSY: f"another program has held it for {_WAIT:g} seconds; wait for that to end",
        sqlite3.SQLITE_CORRUPT: "it is damaged, so start a new one",
        sqlite3.SQLITE_NOTADB: "it is damaged, so start a new one",
    }.get(code, "name another place")


def _differences(begun: Mapping[str, Any], now: Mapping[str, Setting]) -> list[str]:
    """Return which settings differ, in words."""
    found = []
    for name in dict.fromkeys([*begun, *now]):
        old_key, old = begun.get(name, ("", "not there"))
        new = now.get(name, Setting("", "not there"))
        if old_key == new.key:
            continue
        differ = f"was {old} and is {new.words}" if old != new.words else f"({old}) has another content"
        found.append(f"{name} {differ}")
    return found


def read_texts(path: Any, name: str) -> dict[str, str]:
    """Return a part of text of every study of a store that has it, by title."""
    if not Path(path).exists():
        raise StoreError(f"store {str(path)!r} is not there; give the path that the study was run with.")
    with Store(path) as store:
        found = {title: store.get(title, name) for title in store.titles()}
    return {title: content.decode() for title, content in found.items() if content is not None}
