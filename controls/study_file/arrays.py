"""Arrays from files, by ``file`` or ``file:column``. Nothing is ever unpickled."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from controls.core.errors import InputError, unknown_name
from controls.study_file import csv_text

_REFERENCE = re.compile(r"(?P<file>.*?\.(?P<kind>npy|npz|safetensors|parquet|csv))(?::(?P<part>.*))?", re.I | re.S)
_PICKLED = "holds Python objects, which only unpickling could read; save it as numbers or text"


@final
@dataclass(frozen=True)
class Reference:
    """A file, and what in it is meant."""

    text: str  # as written
    path: Path
    kind: str
    part: str | None  # column, array or tensor; None where none is named


def read_array(text: str, folder: Path, *, is_label: bool = False) -> Any:
    """Return the array that a reference names.

    Parameters
    ----------
    text : str
        ``file`` or ``file:part``, where the file is relative to ``folder``.
    folder : Path
    is_label : bool
        Whether a column of a CSV file becomes numbers or booleans where all of it is written so.

    Returns
    -------
    array
        A numpy array (memory-mapped for ``.npy``), or a torch tensor for ``.safetensors``.

    Raises
    ------
    InputError
        No such file, another kind of file, no such part, or one that only unpickling could read.
    """
    reference = parse(text, folder)
    read = _READERS[reference.kind]
    try:
        found = read(reference)
    except OSError as error:
        raise InputError(f"{text!r} cannot be read ({error.strerror or error}).") from error
    return csv_text.as_values(found, reference.text) if is_label and reference.kind == "csv" else found


def parse(text: str, folder: Path) -> Reference:
    """Return the reference that a text is; refuse a file that is not there."""
    match = _REFERENCE.fullmatch(text)
    if match is None:
        raise InputError(f"{text!r} must name a .npy, .npz, .safetensors, .parquet or .csv file, or file:column.")
    path = folder / Path(match["file"]).expanduser()
    if not path.is_file():
        siblings = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
        near = difflib.get_close_matches(path.name, siblings, n=1, cutoff=0.6)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise InputError(f"the file {str(path)!r} is not there; paths are relative to the study file.{hint}")
    return Reference(text, path, match["kind"].lower(), match["part"] or None)


def _npy(reference: Reference) -> np.ndarray:
    if reference.part is not None:
        raise InputError(f"{reference.text!r} must name a file alone: a .npy file holds one array.")
    with reference.path.open("rb") as file:
        if file.read(6) != b"\x93NUMPY":
            raise InputError(f"{reference.text!r} is not a .npy file, whatever its name; write it with numpy.save.")
    try:
        return np.load(reference.path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        if "object" in str(error).lower():
            raise InputError(f"{reference.text!r} {_PICKLED}.") from None
        raise InputError(f"{reference.text!r} is not a whole .npy file ({error}).") from None


def _npz(reference: Reference) -> np.ndarray:
    import zipfile

    try:
        with np.load(reference.path, allow_pickle=False) as arrays:
            if not isinstance(arrays, np.lib.npyio.NpzFile):
                raise InputError(f"{reference.text!r} is not a .npz file, whatever its name; use numpy.savez.")
            return arrays[_chosen(reference, "array", arrays.files)]
    except InputError:
        raise
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        if "allow_pickle" in str(error):
            raise InputError(f"{reference.text!r} {_PICKLED}.") from None
        raise InputError(f"{reference.text!r} is not a whole .npz file ({error}).") from None


def _safetensors(reference: Reference) -> Any:
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError:
        raise InputError(f'{reference.text!r} needs safetensors: pip install "controls[safetensors]".') from None
    try:
        with safe_open(str(reference.path), framework="pt") as tensors:
            return tensors.get_tensor(_chosen(reference, "tensor", tensors.keys()))
    except SafetensorError as error:
        raise InputError(f"{reference.text!r} is not a whole .safetensors file ({error}).") from None


def _parquet(reference: Reference) -> np.ndarray:
    columns, read = _parquet_reader(reference)
    if reference.part is None:
        return _numeric(read(None), reference)
    found = np.asarray(read(_chosen(reference, "column", columns)))
    if found.dtype == object and len(found) and isinstance(found[0], (list, np.ndarray)):
        try:
            return np.stack([np.asarray(row) for row in found])
        except ValueError:
            raise InputError(f"{reference.text!r} must hold lists of one length, got several lengths.") from None
    return found


def _parquet_reader(reference: Reference) -> tuple[list[str], Callable[[str | None], Any]]:
    """Return the columns of a file, and what reads one of them, or all as an (n, d) array."""
    try:
        import polars
    except ImportError:
        return _pandas_reader(reference)
    try:
        lazy = polars.scan_parquet(reference.path)
        columns = lazy.collect_schema().names()
    except polars.exceptions.PolarsError as error:
        raise InputError(f"{reference.text!r} is not a whole .parquet file ({error}).") from None

    def read(column: str | None) -> Any:
        if column is None:
            return lazy.collect().to_numpy()
        return lazy.select(column).collect()[column].to_numpy()

    return columns, read


def _pandas_reader(reference: Reference) -> tuple[list[str], Callable[[str | None], Any]]:
    import pandas as pd

    try:
        table = pd.read_parquet(reference.path)
    except ImportError:
        raise InputError(f'{reference.text!r} needs polars: pip install "controls[parquet]".') from None
    except Exception as error:
        raise InputError(f"{reference.text!r} is not a whole .parquet file ({error}).") from None
    return list(table.columns), lambda column: (table if column is None else table[column]).to_numpy()


def _numeric(table: np.ndarray, reference: Reference) -> np.ndarray:
    if table.dtype.kind not in "fiub":
        raise InputError(f"{reference.text!r} must hold numbers in all columns, got text; name a column after a colon.")
    return table


def _csv(reference: Reference) -> np.ndarray:
    if reference.part is None:
        return csv_text.table(reference.path, reference.text)
    return csv_text.column(reference.path, reference.part, reference.text)


def _chosen(reference: Reference, what: str, names: Iterable[str]) -> str:
    """Return the part that is named, or the only one there is."""
    there = list(names)
    if reference.part is None and len(there) == 1:
        return there[0]
    if reference.part is None:
        shown = ", ".join(there[:8]) + (", …" if len(there) > 8 else "")
        raise InputError(f"{reference.text!r} must name one {what} of {shown}; write {reference.text}:{there[0]}.")
    if reference.part not in there:
        raise unknown_name(f"{what} of {reference.path.name!r}", reference.part, there)
    return reference.part


_READERS: dict[str, Callable[[Reference], Any]] = {
    "npy": _npy,
    "npz": _npz,
    "safetensors": _safetensors,
    "parquet": _parquet,
    "csv": _csv,
}
