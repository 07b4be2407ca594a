"""The "expected" target: how the whole study varies when units are left out and everything is refitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from controls.core.rng import stream
from controls.runner.evaluate import Evaluator

GROUPS = 30  # groups of units that are left out in turn


def refitted_deviations(evaluator: Evaluator, columns: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return delete-a-group jackknife deviations of the mean score of each set of label columns.

    Units are dealt to at most 30 groups. Without each group the study is run anew, in the same
    folds, so that deviations hold what other training units would have changed as well. Their
    squares sum to the jackknife variance, which is biased upwards if at all (Efron and Stein 1981).

    Parameters
    ----------
    evaluator : Evaluator
    columns : sequence of arrays (n, B)
        The observed labels, then a few draws of each control.

    Returns
    -------
    list of arrays (M,)
        For each set, M deviations with M − 1 degrees of freedom.

    Notes
    -----
    Costs M refits of everything in ``columns``.
    """
    units, n_units = evaluator.problem.unit_codes, evaluator.problem.n_units
    n_groups = min(GROUPS, n_units)
    group = np.empty(n_units, dtype=np.int64)
    group[stream(evaluator.seed, "jackknife").permutation(n_units)] = np.arange(n_units) % n_groups
    joined = np.concatenate(list(columns), axis=1)
    ends = np.cumsum([part.shape[1] for part in columns])[:-1]
    means = np.empty((n_groups, len(columns)))
    for left in range(n_groups):
        part = replace(evaluator, rows=np.flatnonzero(group[units] != left), _engines={})
        scores = part.evaluate(joined, wanted=np.zeros(joined.shape[1], dtype=bool)).scores
        means[left] = [np.nanmean(some) for some in np.split(scores, ends)]
    centred = means - means.mean(axis=0)
    return list((centred * np.sqrt((n_groups - 1) / n_groups)).T)
