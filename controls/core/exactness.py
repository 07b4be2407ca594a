"""Is the claim of exactness plausible here? Labels alone are held against their own rearrangements.

An exact control says that, under the null, the law of the labels is the same after every one of its
rearrangements. That can be looked at without the activations: if observed labels follow one
another, or cluster in units, in a way that rearranged labels never do, they are not exchangeable
so, and dependent activations then give false alarms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from controls.core.orbit import Orbit
from controls.core.problem import Problem

_DRAWS = 199
_LEVEL = 0.01  # two-sided, of each of the two statistics


@dataclass(frozen=True)
class Dependence:
    """How the labels depend on one another within units, beside rearranged labels."""

    serial: float  # agreement of neighbouring rows of a unit beyond that of rearranged labels; 1 at most
    serial_p: float  # two-sided rank among rearranged labels
    cluster: float  # share of label variance that lies between units, beyond that of rearranged labels
    cluster_p: float


def label_dependence(problem: Problem, orbit: Orbit, rng: np.random.Generator) -> Dependence:
    """Measure serial dependence and clustering of labels within units, against an orbit's draws.

    Parameters
    ----------
    problem : Problem
        With labels of shape (n,) and a named unit; rows of a unit are taken in the order given.
    orbit : Orbit
        The rearrangements that are claimed to leave the labels' law unchanged.
    rng : numpy.random.Generator
        For 199 draws. Cost: 199 draws and O(n) each.

    Returns
    -------
    Dependence
    """
    statistics = _numeric(problem) if problem.target == "continuous" else _categorical(problem)
    observed = np.array(statistics(problem.labels))
    drawn = np.array([statistics(orbit.draw(rng)) for _ in range(_DRAWS)])
    tolerance = 1e-9 * np.maximum(1.0, np.abs(observed))
    upper = (1 + (drawn >= observed - tolerance).sum(axis=0)) / (_DRAWS + 1)
    lower = (1 + (drawn <= observed + tolerance).sum(axis=0)) / (_DRAWS + 1)
    p = np.minimum(1.0, 2 * np.minimum(upper, lower))
    chance = drawn.mean(axis=0)
    excess = (observed - chance) / np.maximum(1.0 - chance, 1e-12)
    return Dependence(float(excess[0]), float(p[0]), float(excess[1]), float(p[1]))


def caveats_of(problem: Problem, orbit: Orbit, rng: np.random.Generator, *, unit_moves_whole: bool) -> tuple[str, ...]:
    """Return why draws of this orbit are not exchangeable with the labels observed, in words."""
    if problem.unit is None:
        return ()
    found = label_dependence(problem, orbit, rng)
    unit, reasons = problem.unit, []
    if found.serial_p <= _LEVEL:
        remedy = f'; ShuffleLabels(whole="{unit}", blocks=True) keeps sequences whole' if not unit_moves_whole else ""
        reasons.append(
            f"labels of neighbouring rows within a {unit} depend on each other (autocorrelation {found.serial:+.2f} "
            f"beyond rearranged labels, p = {found.serial_p:.2g}), which rearranging destroys too{remedy}"
        )
    if found.cluster_p <= _LEVEL:
        reasons.append(
            f"labels cluster in {unit}s ({found.cluster:+.2f} of their variance beyond rearranged labels, "
            f"p = {found.cluster_p:.2g}), which rearranging destroys too; "
            f'ShuffleLabels(within="{unit}") or ShuffleLabels(whole="{unit}") respects it'
        )
    return tuple(reasons)


def _neighbours(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """Return row pairs that follow one another within a unit."""
    order = np.argsort(problem.unit_codes, kind="stable")
    same = np.diff(problem.unit_codes[order]) == 0
    return order[:-1][same], order[1:][same]


def _categorical(problem: Problem) -> Callable[[np.ndarray], tuple[float, float]]:
    first, second = _neighbours(problem)
    classes, units = problem.classes, problem.unit_codes
    n_classes, sizes = len(classes), np.bincount(units)

    def statistics(labels: np.ndarray) -> tuple[float, float]:
        codes = np.searchsorted(classes, labels)
        agree = float((codes[first] == codes[second]).mean()) if len(first) else 0.0
        counts = np.bincount(units * n_classes + codes, minlength=len(sizes) * n_classes).reshape(-1, n_classes)
        return agree, float(((counts**2).sum(axis=1) / sizes).sum() / len(codes))

    return statistics


def _numeric(problem: Problem) -> Callable[[np.ndarray], tuple[float, float]]:
    first, second = _neighbours(problem)
    units, sizes = problem.unit_codes, np.bincount(problem.unit_codes)
    values = np.asarray(problem.labels, dtype=np.float64)
    centre, variance = values.mean(), max(float(values.var()), np.finfo(float).tiny)

    def statistics(labels: np.ndarray) -> tuple[float, float]:
        centred = labels - centre
        serial = float((centred[first] * centred[second]).mean() / variance) if len(first) else 0.0
        means = np.bincount(units, centred) / sizes
        return serial, float((sizes * means**2).sum() / (len(labels) * variance))

    return statistics
