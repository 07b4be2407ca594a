"""CSV files, read as they are written: no value is guessed to be missing, a date, or a number by a part of it."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from controls.core.errors import InputError, unknown_name

_WHOLE = re.compile(r"-?(?:0|[1-9]\d{0,17})", re.ASCII)
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", re.ASCII)
_NAME_OF_DIGITS = re.compile(r"[-+]?(?:0\d.*|\d{16,})", re.ASCII)  # 007, and more digits than a float can hold
_MISSING = re.compile(r"(?:[-+]?(?:nan|inf|infinity)|na|n/a|null|none|nil|\?|-)", re.I)
_TRUTH = {"true": True, "True": True, "false": False, "False": False}


def column(path: Path, name: str, shown: str) -> np.ndarray:
    """Return one column as text, shape (n,); an empty entry is refused with its line. Memory: that column."""
    with _rows(path, shown) as (header, rows):
        if header.count(name) > 1:
            raise InputError(f"{shown!r} names a column that {path.name!r} has {header.count(name)} times.")
        if name not in header:
            raise unknown_name(f"column of {path.name!r}", name, header)
        place, values = header.index(name), []
        for line, row in rows:
            if len(row) != len(header):
                raise InputError(f"{shown!r}: line {line} has {len(row)} entries, and its header {len(header)}.")
            if not row[place]:
                raise InputError(f"{shown!r} has no entry in line {line}; drop that row or write a value.")
            values.append(row[place])
    return np.array(values, dtype=str)


def table(path: Path, shown: str) -> np.ndarray:
    """Return all columns as numbers, shape (n, d)."""
    with _rows(path, shown) as (header, _):
        width = len(header)
    try:
        return np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2, quotechar='"', encoding="utf-8-sig", comments=None)
    except ValueError as error:
        raise InputError(
            f"{shown!r} must hold {width} numbers in every line ({error}); name a column after a colon."
        ) from None


def as_values(texts: np.ndarray, shown: str) -> np.ndarray:
    """Return labels as numbers or booleans where every entry is written as one; as text otherwise.

    Examples
    --------
    >>> as_values(np.array(["3", "-1"]), "f").tolist(), as_values(np.array(["007", "3"]), "f").tolist()
    ([3, -1], ['007', '3'])
    """
    entries = texts.tolist()
    if all(entry in _TRUTH for entry in entries):
        return np.array([_TRUTH[entry] for entry in entries])
    if all(_WHOLE.fullmatch(entry) for entry in entries):
        return np.array([int(entry) for entry in entries])
    numbers = [bool(_NUMBER.fullmatch(entry)) and not _NAME_OF_DIGITS.fullmatch(entry) for entry in entries]
    if all(numbers):
        return np.array([float(entry) for entry in entries])
    others = [place for place, number in enumerate(numbers) if not number]
    if len(others) < len(entries) and all(_MISSING.fullmatch(entries[place]) for place in others):
        raise InputError(
            f"{shown!r} must have a value in every row, got {entries[others[0]]!r} among numbers in row {others[0]} "
            f"(counted from 0); drop those {len(others)} rows."
        )
    return texts


@contextmanager
def _rows(path: Path, shown: str) -> Iterator[tuple[list[str], Iterator[tuple[int, list[str]]]]]:
    """Open a file: its column names, and its further lines that are not blank, with their numbers."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file, strict=True)
        try:
            header = next(reader, [])
            if not header or all(_NUMBER.fullmatch(name) for name in header):
                raise InputError(f"{shown!r} must start with a line of column names, got {','.join(header)[:40]!r}.")
            yield header, ((reader.line_num, row) for row in reader if row)
        except (csv.Error, UnicodeDecodeError) as error:
            raise InputError(f"{shown!r} is not CSV in UTF-8 (line {reader.line_num}: {error}).") from None
