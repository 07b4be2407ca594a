"""The checks at the door: anything array-like in, a clean read-only numpy array out, or one sentence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from controls.core.arrays import as_csr, is_mapped, is_sparse
from controls.core.errors import InputError, InputTypeError

_LONGEST = 200  # characters of a value in an error sentence
_CHUNK = 1 << 22  # elements looked at in one go when NaN is searched for


def as_numpy(value: Any, name: str) -> np.ndarray:
    """Return ``value`` (numpy, torch, pandas, polars, list) as a numpy array, without a copy where possible."""
    _refuse_masked(value, name)
    if hasattr(value, "detach") and hasattr(value, "cpu"):  # a torch tensor, recognised without importing torch
        if str(value.layout) != "torch.strided":
            raise InputTypeError(f"{name} must be a dense tensor or a scipy.sparse array, got a {value.layout} tensor.")
        tensor = value.detach().cpu()
        if str(tensor.dtype) in ("torch.bfloat16", "torch.float16"):
            tensor = tensor.float()
        return tensor.numpy()
    if hasattr(value, "to_numpy"):
        return np.asarray(value.to_numpy())
    if hasattr(value, "collect") and hasattr(value, "lazy"):  # a polars query
        raise InputTypeError(f"{name} must be data, got a {type(value).__name__} not yet run; pass {name}.collect().")
    if hasattr(value, "toarray"):
        raise InputTypeError(
            f"{name} must be a dense array, got a sparse {type(value).__name__}; pass {name}.toarray()."
        )
    try:
        array = np.asarray(value)
        # numpy would write out a NaN, or a number, among texts as text
        return np.asarray(value, dtype=object) if array.dtype.kind == "U" and isinstance(value, list | tuple) else array
    except (ValueError, TypeError) as error:
        raise InputTypeError(f"{name} must be an array, got {type(value).__name__} ({error}).") from error


def _refuse_masked(value: Any, name: str) -> None:
    masked = int(np.ma.count_masked(value)) if np.ma.isMaskedArray(value) else 0
    if masked:
        raise InputError(f"{name} must have no masked values, got {masked}; drop those rows.")


def read_only(array: np.ndarray) -> np.ndarray:
    """Return a view of ``array`` that cannot be written to."""
    view = array.view()
    view.flags.writeable = False
    return view


def as_activations(value: Any, name: str = "activations") -> Any:
    """Return activations as a finite, floating (n, d) array, or CSR where they came sparse.

    Raises InputError in one sentence otherwise. What is memory-mapped stays so, in its own type.
    """
    sparse = is_sparse(value)
    array = value if sparse else _unnested(as_numpy(value, name), name)
    if len(array.shape) != 2:
        raise InputError(
            f"{name} must have two dimensions (n rows, d features), got shape {array.shape}; "
            "pool or flatten the other dimensions, or reshape(-1, 1) for one feature."
        )
    if array.shape[0] == 0 or array.shape[1] == 0:
        raise InputError(f"{name} must not be empty, got shape {array.shape}.")
    if sparse:
        return _as_sparse(array, name)
    array = _as_float(array, name)
    if array.dtype.kind == "f":
        _refuse_non_finite(array, name)
    return read_only(array)


def _as_sparse(value: Any, name: str) -> Any:
    if value.dtype.kind not in "fiub":
        raise InputTypeError(f"{name} must hold numbers, got dtype {value.dtype}; convert it before.")
    rows = as_csr(value)

    def place(first: tuple[int, ...]) -> str:
        row = int(np.searchsorted(rows.indptr, first[0], side="right")) - 1
        return f"row {row}, column {int(rows.indices[first[0]])}"

    _refuse_non_finite(rows.data, name, place)
    return rows


def _unnested(array: np.ndarray, name: str) -> np.ndarray:
    """Return a column whose entries are vectors, as data frames keep them, as the array (n, d) that it stands for."""
    column = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
    if array.dtype.kind != "O" or column.ndim != 1 or not len(column) or not _is_vector(column[0]):
        return array
    lengths = sorted({len(row) if _is_vector(row) else 0 for row in column})
    if len(lengths) > 1:
        raise InputError(
            f"{name} must have vectors of one length in every row, got from {lengths[0]} to {lengths[-1]}."
        )
    return np.stack([np.asarray(row) for row in column])


def _is_vector(value: Any) -> bool:
    if hasattr(value, "to_numpy"):
        return True
    return isinstance(value, (list, tuple)) or (isinstance(value, np.ndarray) and value.ndim == 1)


def _as_float(array: np.ndarray, name: str) -> np.ndarray:
    if array.dtype.kind == "O":
        try:
            if any(isinstance(value, str) for value in array.flat):  # astype would read "1.5" as a number
                raise TypeError("text")
            return array.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise InputTypeError(f"{name} must hold numbers, got {error}; encode text before.") from error
    if array.dtype.kind not in "fiub":
        raise InputTypeError(
            f"{name} must hold numbers, got dtype {array.dtype} (first value {array.flat[0].item()!r}); "
            "encode it before."
        )
    if is_mapped(array):  # rows are converted when they are taken: a copy may not fit
        return array
    if array.dtype.kind != "f":
        return array.astype(np.float64)
    return array.astype(np.float32) if array.dtype.itemsize < 4 else array


def _cell(first: tuple[int, ...]) -> str:
    return f"row {first[0]}" + (f", column {first[1]}" if len(first) > 1 else "")


def _refuse_non_finite(array: np.ndarray, name: str, place: Callable[[tuple[int, ...]], str] = _cell) -> None:
    """Raise with how many values are not finite and where the first one is; reads in chunks."""
    rows = max(1, _CHUNK // max(1, array.shape[1] if array.ndim == 2 else 1))
    bad, first = 0, None
    for start in range(0, len(array), rows):
        finite = np.isfinite(array[start : start + rows])
        if not finite.all():
            bad += int(finite.size - finite.sum())
            if first is None:
                where = np.argwhere(~finite)[0]
                first = (start + int(where[0]), *map(int, where[1:]))
    if first is None:
        return
    raise InputError(
        f"{name} must be finite, got {bad} NaN or infinite value{'s' if bad > 1 else ''}, the first at {place(first)}; "
        "drop or impute those rows."
    )


def as_labels(value: Any, n: int, name: str = "labels") -> np.ndarray:
    """Return labels as a clean (n,) or (n, k) array of numbers, booleans or strings."""
    array = as_numpy(value, name)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim not in (1, 2):
        raise InputError(f"{name} must have shape (n,) or (n, k), got {array.shape}.")
    if array.ndim == 2 and array.shape[1] == 0:
        raise InputError(f"{name} must not be empty, got shape {array.shape}.")
    if len(array) != n:
        raise InputError(f"{name} must have one entry per row of activations ({n}), got {len(array)}.")
    if array.dtype.kind == "O":
        array = _from_objects(array, name)
    if array.dtype.kind not in "fiubU":
        raise InputTypeError(f"{name} must hold numbers, booleans or strings, got dtype {array.dtype}.")
    if array.dtype.kind == "f":
        array = array.astype(np.float64)
        _refuse_non_finite(array, name)
    return read_only(array)


def _from_objects(array: np.ndarray, name: str) -> np.ndarray:
    flat = array.ravel()
    missing = [i for i, value in enumerate(flat) if _is_missing(value)]
    if missing:
        row = missing[0] // (len(flat) // len(array))
        raise InputError(
            f"{name} must have no missing values, got {len(missing)}, the first at row {row}; drop those rows."
        )
    if all(isinstance(value, (bool, np.bool_)) for value in flat):
        return array.astype(bool)
    if all(isinstance(value, (int, float, np.number)) for value in flat):
        return np.asarray(array.tolist())
    if all(isinstance(value, str) for value in flat):
        return array.astype(str)
    kinds = ", ".join(sorted({type(value).__name__ for value in flat}))
    raise InputTypeError(f"{name} must hold numbers, booleans or strings, got a mixture: {kinds}; convert it.")


def _is_missing(value: Any) -> bool:
    """Whether a value is None, NaN, or the NA of pandas (which cannot be compared)."""
    return value is None or type(value).__name__ in ("NAType", "NaTType") or bool(np.any(value != value))


def as_group(value: Any, n: int, name: str) -> np.ndarray:
    """Return a group column as an (n,) array; missing values are refused."""
    array = as_numpy(value, name)
    if array.ndim != 1 or len(array) != n:
        raise InputError(f"{name} must be a column with one entry per row ({n}), got shape {array.shape}.")
    if array.dtype.kind == "O":
        array = _from_objects(array, name)
    if array.dtype.kind == "f":
        _refuse_non_finite(array, name)
    return read_only(array)


def whole_number(value: Any, name: str, *, low: int) -> int:
    """Return ``value`` as an int of at least ``low``."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise InputTypeError(f"{name} must be a whole number, got {in_one_line(value)}.")
    if value < low:
        raise InputError(f"{name} must be at least {low}, got {value}.")
    return int(value)


def real_number(value: Any, name: str, *, low: float, high: float, open_ends: bool = True) -> float:
    """Return ``value`` as a float between ``low`` and ``high``."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise InputTypeError(f"{name} must be a number, got {in_one_line(value)}.")
    inside = low < value < high if open_ends else low <= value <= high
    if not inside:
        words = (
            f"between {low:g} and {high:g}"
            if high < float("inf")
            else f"{'above' if open_ends else 'at least'} {low:g}"
        )
        raise InputError(f"{name} must be {words}, got {value!r}.")
    return float(value)


def true_or_false(value: Any, name: str) -> bool:
    """Return ``value`` if it is True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise InputTypeError(f"{name} must be True or False, got {in_one_line(value)}.")
    return bool(value)


def random_generator(value: Any, name: str = "rng") -> np.random.Generator:
    """Return ``value`` if random numbers can be drawn from it."""
    if not isinstance(value, np.random.Generator):
        raise InputTypeError(
            f"{name} must be a numpy Generator, got {in_one_line(value)}; pass np.random.default_rng(seed)."
        )
    return value


def in_one_line(value: Any) -> str:
    """Return a value as an error sentence shows it: on one line, and cut where it is long.

    Examples
    --------
    >>> in_one_line(np.eye(2))
    'array([[1., 0.], [0., 1.]])'
    """
    text = " ".join(repr(value).split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def plain_text(value: Any, name: str) -> str:
    """Return ``value`` if it is text that files can hold."""
    if not isinstance(value, str):
        raise InputTypeError(f"{name} must be text, got {value!r}.")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise InputError(f"{name} must be text that UTF-8 can hold, got half of a surrogate pair; leave that out.")
    return value


def site_names(value: Any, name: str = "sites") -> tuple[str, ...]:
    """Return the names of some sites, of which one may be given alone."""
    names = (value,) if isinstance(value, str) else value
    if not isinstance(names, (tuple, list)) or not all(isinstance(each, str) for each in names):
        raise InputTypeError(
            f"{name} must be names of sites, such as ('blocks.2',), got {in_one_line(value)}; leave it out where the "
            "problem has one array."
        )
    return tuple(names)


def one_of(value: Any, name: str, allowed: tuple[str, ...]) -> str:
    """Return ``value`` if it is one of the allowed words."""
    if not isinstance(value, str) or value not in allowed:
        raise InputError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {in_one_line(value)}.")
    return str(value)
