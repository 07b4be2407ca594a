"""Many claims at once: Holm and Benjamini–Hochberg, and max-T over shared draws."""

from __future__ import annotations

import numpy as np

from controls.core.validate import one_of

_METHODS = ("holm", "bh")


def adjust(p: np.ndarray, method: str = "holm") -> np.ndarray:
    """Return p-values adjusted for their number.

    Parameters
    ----------
    p : array of shape (k,)
    method : {"holm", "bh"}
        Family-wise error (any dependence), or false discovery rate (independent or positively
        dependent p-values).

    Examples
    --------
    >>> import numpy as np
    >>> adjust(np.array([0.01, 0.04])).tolist()
    [0.02, 0.04]
    """
    one_of(method, "method", _METHODS)
    p = np.asarray(p, dtype=np.float64)
    if method == "holm":  # statsmodels collects all garbage on the way, which takes longer than most studies
        return _holm(p)
    from statsmodels.stats.multitest import multipletests

    return np.asarray(multipletests(p, method="fdr_bh")[1])


def _holm(p: np.ndarray) -> np.ndarray:
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return adjusted


def max_t(observed: np.ndarray, draws: np.ndarray, *, enumerated: bool, tolerance: float) -> np.ndarray:
    """Return step-down max-T p-values of several scores that share their draws (Westfall and Young 1993).

    Scores are studentised first by the mean and spread over observed and draws together, which is
    symmetric in them, so that exactness is kept and no single score dominates the maximum.

    Parameters
    ----------
    observed : array of shape (k,)
    draws : array of shape (k, B)
        Column b holds all k scores under the same draw. NaN counts as an exceedance.
    enumerated : bool
        Whether draws are all distinct relabelings, the identity included.
    tolerance : float
        Scores closer than this are ties.

    Returns
    -------
    array of shape (k,)
    """
    everything = np.asarray(draws if enumerated else np.column_stack([observed, draws]), dtype=np.float64)
    centre = np.nanmean(everything, axis=1, keepdims=True)
    spread = np.nanstd(everything, axis=1, keepdims=True)
    spread = np.where(spread > tolerance, spread, 1.0)
    t0 = (observed - centre[:, 0]) / spread[:, 0]
    t = np.where(np.isnan(draws), np.inf, (draws - centre) / spread)
    order = np.argsort(-t0, kind="stable")
    largest = np.maximum.accumulate(t[order][::-1], axis=0)[::-1]  # row j: maximum over j and all weaker ones
    t0 = np.where(np.isnan(t0), -np.inf, t0)  # an undefined score is never evidence
    exceed = (largest >= (t0[order] - tolerance / spread[order, 0])[:, None]).sum(axis=1)
    p = exceed / draws.shape[1] if enumerated else (1 + exceed) / (1 + draws.shape[1])
    adjusted = np.empty(len(observed))
    adjusted[order] = np.maximum.accumulate(p)
    return adjusted
