"""The kinds of arrays that activations may be: dense, memory-mapped, or sparse by rows (CSR)."""

from __future__ import annotations

from typing import Any

import numpy as np


def is_sparse(value: Any) -> bool:
    """Whether this is a scipy sparse matrix or array, recognised without importing scipy."""
    return callable(getattr(value, "tocsr", None)) and callable(getattr(value, "toarray", None))


def is_mapped(array: np.ndarray) -> bool:
    """Whether the array's numbers are in a file that is mapped into memory."""
    owner: Any = array
    while owner is not None:
        if isinstance(owner, np.memmap) and owner._mmap is not None:  # type: ignore[attr-defined]
            return True
        owner = getattr(owner, "base", None)
    return False


def as_csr(value: Any) -> Any:
    """Return a sparse matrix by rows, each place once and in order; the caller's is not changed.

    Its numbers are floating and read-only; they are copied only where the format or type asks for it.
    """
    rows = value.tocsr()
    if not rows.has_canonical_format:
        rows = rows.copy() if rows is value else rows
        rows.sum_duplicates()
    data = rows.data if rows.data.dtype.kind == "f" else rows.data.astype(np.float64)
    parts = [part.view() for part in (data, rows.indices, rows.indptr)]
    for part in parts:
        part.flags.writeable = False
    made = type(rows)(tuple(parts), shape=rows.shape, copy=False)
    made.has_canonical_format = True
    return made


def take_rows(activations: Any, rows: np.ndarray) -> Any:
    """Return some rows as floating numbers: a dense array, or CSR of CSR.

    What is memory-mapped in another type (float16, integers) is converted here, row by row asked for.
    """
    taken = activations[rows]
    if is_sparse(taken):
        return taken
    return np.asarray(taken, dtype=_floating(taken.dtype))


def dense_rows(activations: Any, rows: np.ndarray) -> np.ndarray:
    """Return some rows (m, d) as a dense floating array of their own; m · d numbers, where they were sparse too."""
    taken = take_rows(activations, rows)
    return taken.toarray() if is_sparse(taken) else taken


def dense(activations: Any) -> np.ndarray:
    """Return a dense array; itself, where it is one."""
    return activations.toarray() if is_sparse(activations) else activations


def same_array(a: Any, b: Any) -> bool:
    """Whether two arrays are of one kind and hold the same."""
    if a is b:
        return True
    if a.shape != b.shape or is_sparse(a) != is_sparse(b):
        return False
    return (a != b).nnz == 0 if is_sparse(a) else bool((a == b).all())


def _floating(dtype: np.dtype) -> np.dtype:
    if dtype.kind != "f":
        return np.dtype(np.float64)
    return np.dtype(np.float32) if dtype.itemsize < 4 else dtype
