"""Names: how parameters are selected, by globs and by kinds. Imports no torch."""

from __future__ import annotations

from typing import Any

from controls.core.errors import InputTypeError

AS_READ = "fingerprints of weights, as they were when they were read"  # where a source remembers them
MOMENTS = "tensors by their moments"  # figures of a draw's proof
FIRST_MOMENTS = "place of the first of those that have no initialiser"
KINDS = ("embeddings", "unembedding", "norms", "biases")


def as_patterns(value: Any, name: str) -> tuple[str, ...]:
    """Return one pattern or several as a tuple of texts."""
    given = (value,) if isinstance(value, str) else value
    if not isinstance(given, (tuple, list)) or not all(isinstance(item, str) and item for item in given):
        raise InputTypeError(f"{name} must be globs on parameter names, or kinds ({', '.join(KINDS)}), got {value!r}.")
    return tuple(given)
