"""Memory: what is known of one study from before, and what is kept of it; nothing where there is no store."""

from __future__ import annotations

import io
import sqlite3
import warnings
from collections.abc import Iterable, Mapping
from typing import final

import numpy as np

from controls.core.errors import ControlsWarning
from controls.runner.store import Store, remedy

Arrays = Mapping[str, np.ndarray]


@final
class Memory:
    """What a store knows of one study. Without a store it knows nothing, and keeps nothing.

    Writing never stops a run: where it fails (a full disk), what could not be written is held, tried
    again with the next part, and the user is warned once.
    """

    def __init__(self, store: Store | None = None, title: str = "") -> None:
        self._store, self._title = store, title
        self._held: dict[str, bytes] = {}
        self._dropped: set[str] = set()
        self._warned = False

    @property
    def where(self) -> str | None:
        """The store's path; None where there is none, and while something could not be written to it."""
        return None if self._store is None or self._held else str(self._store.path)

    def get(self, name: str) -> dict[str, np.ndarray] | None:
        """Return the arrays of a part; None where there is none."""
        content = None if self._store is None else self._store.get(self._title, name)
        if content is None:
            return None
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return dict(arrays)

    @property
    def keeps(self) -> bool:
        """Whether there is a store at all."""
        return self._store is not None

    def names(self, prefix: str) -> tuple[str, ...]:
        """Return the names of parts that begin with a prefix."""
        return () if self._store is None else self._store.names(self._title, prefix)

    def put(self, parts: Mapping[str, Arrays], *, dropped: Iterable[str] = ()) -> None:
        """Write parts of arrays, and drop others."""
        if self._store is not None:
            self._write({name: _packed(arrays) for name, arrays in parts.items()}, dropped)

    def put_text(self, name: str, text: str) -> None:
        """Write a part of text."""
        if self._store is not None:
            self._write({name: text.encode()}, ())

    def _write(self, parts: Mapping[str, bytes], dropped: Iterable[str]) -> None:
        assert self._store is not None
        self._dropped.update(dropped)
        for name in self._dropped:
            self._held.pop(name, None)
        self._held.update(parts)
        self._dropped -= parts.keys()
        try:
            self._store.put(self._title, self._held, dropped=self._dropped)
        except sqlite3.Error as error:
            if not self._warned:
                self._warned = True
                warnings.warn(
                    f"store {str(self._store.path)!r} cannot be written ({error}): {remedy(error)}. The run goes on, "
                    "tries again with every block, and loses what is not written only if it is stopped.",
                    ControlsWarning,
                    stacklevel=2,
                )
            return
        self._held.clear()
        self._dropped.clear()


def _packed(arrays: Arrays) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type] - of the names, none is a parameter
    return file.getvalue()
