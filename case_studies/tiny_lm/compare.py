"""What freezing the embedding costs: arms compared over seeds, by enumeration and with an interval."""

from __future__ import annotations

from math import comb
from typing import Any, Literal

import numpy as np
from scipy import stats


def compare(worse: np.ndarray, better: np.ndarray) -> dict[str, Any]:
    """Compare the losses of two arms that share their seeds.

    Parameters
    ----------
    worse, better : array of shape (seeds,)
        Losses in the order of the seeds. The alternative of both tests is that those of ``worse`` are larger.

    Returns
    -------
    dict
        ``difference`` of the means; ``low`` and ``high``, the 95% t interval of the paired differences;
        ``p_two_sample``, over all ways of giving the runs to the arms, with its floor; ``p_paired``, over
        all ways of swapping the arms within seeds, with its floor; ``correlation`` of the arms over seeds.

    Notes
    -----
    Null hypothesis: which arm a run belongs to has no influence on its loss. The two-sample test is
    exact if the runs are then exchangeable, which a seed's shared start and order of windows break
    where they matter; it is then careful, since runs of one seed go together. The paired test is
    exact under the null alone, and with six seeds its floor is 1/64.

    Examples
    --------
    >>> found = compare(np.array([3.0, 4.0, 5.0]), np.array([1.0, 2.5, 2.0]))
    >>> round(found["difference"], 3), found["p_two_sample"], found["p_paired"]
    (2.167, 0.05, 0.125)
    """
    n = len(worse)
    gaps = worse - better
    interval = stats.ttest_1samp(gaps, 0.0).confidence_interval(0.95)
    return {
        "difference": float(gaps.mean()),
        "low": float(interval.low),
        "high": float(interval.high),
        "p_two_sample": _exact(worse, better, "independent"),
        "p_two_sample_floor": 1 / comb(2 * n, n),
        "p_paired": _exact(worse, better, "samples"),
        "p_paired_floor": 1 / 2**n,
        "correlation": float(np.corrcoef(worse, better)[0, 1]),
        "differences": gaps.tolist(),
    }


def _exact(x: np.ndarray, y: np.ndarray, kind: Literal["independent", "samples"]) -> float:
    relabelings = comb(2 * len(x), len(x))  # with room for all of them, scipy enumerates
    test = stats.permutation_test(
        (x, y), _gap, permutation_type=kind, n_resamples=relabelings, alternative="greater", vectorized=True
    )
    return float(test.pvalue)


def _gap(x: np.ndarray, y: np.ndarray, axis: int) -> np.ndarray:
    return x.mean(axis=axis) - y.mean(axis=axis)
