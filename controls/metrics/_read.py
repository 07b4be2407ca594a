"""Reads one prediction from an output."""

from __future__ import annotations

import numpy as np

from controls.core.errors import TrainerError
from controls.core.trainer import Output


def read(output: Output, what: str) -> np.ndarray:
    """Return the "labels", "scores" or "probabilities" of an output; raise TrainerError where it has none."""
    values = getattr(output, what)
    if values is None:
        raise TrainerError(f"the trainer's output must have the {what} that the metric reads, got None.")
    return values
