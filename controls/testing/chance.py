"""How what is left by chance is told from what is left."""

from __future__ import annotations

import numpy as np

STRICT = 1e-4  # level of each test of chance; seeds are fixed, so that a control passes always or never


def p_above_zero(values: np.ndarray) -> float:
    """Return the one-sided p of a mean above 0, by Student's t."""
    from scipy.special import stdtr

    mean, error = float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))
    if error < 1e-12:
        return 0.0 if mean > 1e-9 else 1.0
    return float(stdtr(len(values) - 1, -mean / error))
