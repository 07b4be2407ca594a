"""Kept: what a store holds of studies: memories to go on from, and the results of those that are finished."""

from __future__ import annotations

import os
from contextlib import nullcontext
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

from controls.core.errors import InputError, unknown_name
from controls.core.result import Result, Sweep
from controls.runner.memory import Memory
from controls.runner.prepare import Prepared
from controls.runner.record import threads, versions
from controls.runner.settings import settings_of
from controls.runner.store import Setting, Store, is_store, read_texts

Record = TypeVar("Record", Result, Sweep)
RESULT, SWEEP = "result", "sweep"  # the parts of a store that are records


def opened(store: Any) -> Any:
    """Return a context of the store at a path, or of None."""
    return nullcontext() if store is None else Store(store)


def remember_sweep(store: Store | None, title: str) -> Memory:
    """Return the memory of the sweep itself, beside those of its sites."""
    if store is None:
        return Memory()
    store.enter(title, {"kind": Setting(SWEEP, "a sweep over sites")})
    return Memory(store, title)


def remember(prepared: Prepared, store: Store | None, title: str) -> Memory:
    """Return what a store knows of a prepared study; nothing where there is no store."""
    if store is None:
        return Memory()
    store.enter(title, settings_of(prepared, versions(), threads()))
    return Memory(store, title)


def keep(record: Record, memory: Memory, name: str) -> Record:
    """Keep a result or sweep in the store, if there is one; reports can then be made from the store alone."""
    if memory.keeps:
        memory.put_text(name, record.to_json())
    return record


def load(path: Any, title: str | None = None) -> Any:
    """Return what was found, from what ``to_json`` or ``save`` wrote or a store holds.

    Parameters
    ----------
    path : path or str
        A JSON file, a folder with ``result.json``, JSON text, or a store.
    title : str, optional
        Which of a store's studies; not needed where it holds one, or one sweep.

    Raises
    ------
    InputError
        Something else, or a study that is not finished.
    StoreError
        A damaged store.
    """
    from controls import report

    if not _is_store_path(path):
        return report.from_json(path)
    found = stored(path)
    if title is None and len(found) == 1:
        return next(iter(found.values()))
    if title is None:
        what = "no finished study; run it again to go on with it" if not found else f"{len(found)}: name one by title="
        raise InputError(f"path must be a store of one finished study, got {what} ({', '.join(map(repr, found))}).")
    if title not in found:
        raise unknown_name("title", title, found, advice="Only finished studies have a result.")
    return found[title]


def stored(path: Any) -> dict[str, Result | Sweep]:
    """Return what a store's finished studies found, by title; the sites of a sweep are in its Sweep."""
    from controls import report

    found: dict[str, Any] = {title: report.from_json(text) for title, text in read_texts(path, RESULT).items()}
    for title, text in read_texts(path, SWEEP).items():
        sweep = report.from_json(text)
        assert isinstance(sweep, Sweep)
        for site in sweep.results:
            found.pop(site_title(title, site), None)
        found[title] = sweep
    return found


def site_title(title: str, site: str) -> str:
    """Return the title that a store knows one site of a sweep by."""
    return f"{title}: {site}" if title else site


def _is_store_path(path: Any) -> bool:
    if isinstance(path, str) and path.lstrip()[:1] in ("{", "["):
        return False
    return isinstance(path, (str, PathLike)) and os.path.isfile(path) and is_store(Path(path))
