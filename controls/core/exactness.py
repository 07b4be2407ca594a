"""Is the claim of exactness plausible here? Labels alone are held against their own rearrangements.

An exact control says that, under the null, the law of the labels is the same after every one of its
rearrangements. That can be looked at without the activations: if observed labels follow one
another, cluster in groups, go with the size of groups, or are spread over folds in a way that
rearranged labels never are, they are not exchangeable so, and false alarms can follow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from controls.core.exchangeability import Exchangeability, SignFlip, Whole
from controls.core.orbit import Orbit, SignOrbit
from controls.core.problem import Problem
from controls.core.strata import Given
from controls.core.trainer import Split

LEVEL = 0.01  # two-sided, of each kind of trace, shared by the groups that are looked at
Statistic = Callable[[np.ndarray], float]  # of labels as codes or numbers


@dataclass(frozen=True)
class Trace:
    """One way in which labels may depend on one another, beside rearranged labels."""

    kind: str  # "serial", "cluster", "size", "folds", "trend", "seam" or "gaps"
    group: str  # of which group; empty where of none
    excess: float  # beyond the mean of rearranged labels; 1 at most for "serial" and "cluster"
    p: float  # two-sided rank among rearranged labels


def label_traces(
    problem: Problem, orbit: Orbit, rng: np.random.Generator, groups: Sequence[str], *, level: float = 0.0
) -> tuple[Trace, ...]:
    """Measure serial dependence and clustering of labels in groups, and whether labels go with group sizes.

    Parameters
    ----------
    problem : Problem
        With labels of shape (n,); rows of a group member are taken in the order given.
    orbit : Orbit
        The rearrangements that are claimed to leave the labels' law unchanged.
    rng : numpy.random.Generator
        For the draws.
    groups : sequence of str
        Where to look.
    level : float
        Draws end once no p can be at or below this level.

    Returns
    -------
    tuple of Trace
        "serial" and "cluster" for each group, then "size" (not for flipped signs, which move no label).

    Notes
    -----
    Costs at most 200 draws for each group, and O(n) a draw and group.
    """
    named: list[tuple[str, str, Statistic]] = []
    for group in groups:
        serial, cluster = _serial(problem, group), _cluster(problem, group)
        named += [("serial", group, serial), ("cluster", group, cluster)]
    if not isinstance(orbit, SignOrbit):
        named.append(("size", "", _size(problem)))
    return ranked(problem, orbit, rng, named, 200 * max(1, len(groups)) - 1, level=level)


def fold_trace(problem: Problem, orbit: Orbit, rng: np.random.Generator, splits: Sequence[Split]) -> Trace:
    """Measure whether folds that were given share out the labels more (or less) evenly than they would others'."""
    tests = [test for _, test in splits]

    def imbalance(values: np.ndarray) -> float:
        hot = indicators(values)
        mean = hot.mean(axis=0)
        return float(sum(np.square((hot[test] - mean).sum(axis=0)).sum() for test in tests))

    return ranked(problem, orbit, rng, [("folds", "", imbalance)], 999, level=LEVEL)[0]


def caveats_of(
    problem: Problem, orbit: Orbit, rng: np.random.Generator, restriction: Exchangeability
) -> tuple[str, ...]:
    """Return why draws of this orbit are not exchangeable with the labels observed, in words.

    Looks in the unit, in the groups that the restriction names, and in every named group in which
    the unit is nested. Rows are taken at their word as independent where nothing is named.
    """
    groups = where_to_look(problem, restriction.groups_named)
    if not groups:
        return ()
    level = LEVEL / len(groups)
    traces = label_traces(problem, orbit, rng, groups, level=level)
    found = [trace for trace in traces if trace.p <= level + 1e-12]
    return tuple(_words(trace, problem, restriction) for trace in found)


def where_to_look(problem: Problem, restricted_to: Sequence[str]) -> list[str]:
    """Return the groups in which labels are looked at: the unit, those named, and those that units are nested in."""
    named = [problem.unit] if problem.unit else []
    coarser = [
        group for group in problem.groups if problem.unit and group != problem.unit and _is_nested(problem, group)
    ]
    return list(dict.fromkeys([*named, *restricted_to, *coarser]))


def _is_nested(problem: Problem, group: str) -> bool:
    """Whether every unit lies in one member of the group, of which there are several."""
    codes, units = problem.codes(group), problem.unit_codes
    first = np.unique(units, return_index=True)[1]
    several = 1 < int(codes.max()) + 1 < problem.n_units
    return several and bool((codes == codes[first][units]).all())


def _words(trace: Trace, problem: Problem, restriction: Exchangeability) -> str:
    group, p = trace.group, f"p = {trace.p:.2g}"
    if trace.kind == "size":
        return (
            f"labels go with the size of the groups that have them ({p}), so that rearranging changes how many rows "
            "each label has; score by balanced_accuracy or roc_auc, which that does not move"
        )
    if isinstance(restriction, SignFlip):
        return (
            f"signs of the labels within one {group} go together ({trace.excess:+.2f} beyond flipped signs, {p}), "
            f'which flipping them one by one destroys too; FlipSigns(per="{group}") keeps them together'
        )
    if trace.kind == "serial":
        found = f"labels of neighbouring rows within one {group} depend on each other (autocorrelation"
    else:
        found = f"labels cluster by {group} (share of their variance"
    beyond = f"{trace.excess:+.2f} beyond rearranged labels, {p}), which rearranging destroys too"
    return f"{found} {beyond}; {_remedy(trace, problem, restriction)} keeps that"


def _remedy(trace: Trace, problem: Problem, restriction: Exchangeability) -> str:
    """Return the shuffle that leaves alone what was found."""
    group, constant = trace.group, problem.constant_within(trace.group)
    if trace.kind == "cluster" and isinstance(restriction, Whole) and not constant:
        blocks = ", blocks=True" if restriction.blocks else ""
        return f'ShuffleLabels(whole="{restriction.group}", within="{group}"{blocks})'
    if trace.kind == "cluster" and not constant:
        also = ""
        if isinstance(restriction, Given):
            also = f", given={restriction.columns!r}" + (f", bins={restriction.bins}" if restriction.bins else "")
        return f'ShuffleLabels(within="{group}"{also})'
    return f'ShuffleLabels(whole="{group}"{"" if constant else ", blocks=True"})'


# -- statistics ----------------------------------------------------------------------------------------


def ranked(
    problem: Problem,
    orbit: Orbit,
    rng: np.random.Generator,
    named: list[tuple[str, str, Statistic]],
    draws: int,
    *,
    level: float = 0.0,
) -> tuple[Trace, ...]:
    """Return each statistic's two-sided rank among rearranged labels, all on the same draws.

    Draws end once each statistic has been exceeded and undercut so often that no p of all draws could be at or
    below ``level``. Which are is the same as with all draws; p and excess of the others are what was seen so far.
    """
    signs = isinstance(orbit, SignOrbit)

    def measured(labels: np.ndarray) -> list[float]:
        values = _signed_values(problem, labels) if signs else _values(problem, labels)
        return [statistic(values) for _, _, statistic in named]

    observed = np.array(measured(problem.labels))
    tolerance = 1e-9 * np.maximum(1.0, np.abs(observed))
    upper, lower = np.ones(len(named)), np.ones(len(named))
    drawn: list[list[float]] = []

    def decided(upper: np.ndarray, lower: np.ndarray) -> bool:
        return level > 0 and bool((2 * np.minimum(upper, lower) > level * (draws + 1) + 1e-9).all())

    while len(drawn) < draws and not decided(upper, lower):
        drawn.append(measured(orbit.draw(rng)))
        upper += drawn[-1] >= observed - tolerance
        lower += drawn[-1] <= observed + tolerance
    p = np.minimum(1.0, 2 * np.minimum(upper, lower) / (len(drawn) + 1))
    chance = np.mean(drawn, axis=0)
    excess = (observed - chance) / np.maximum(1.0 - chance, 1e-12)
    return tuple(Trace(kind, group, float(excess[i]), float(p[i])) for i, (kind, group, _) in enumerate(named))


def _values(problem: Problem, labels: np.ndarray) -> np.ndarray:
    """Return labels as class codes (integers), or as numbers of mean 0 and variance 1; a column each of label sets."""
    sets = problem.label_sets
    if sets is not None:
        return problem.memo("values of label sets", lambda: sets.standardised(problem.labels))[labels]
    if problem.target != "continuous":
        return np.searchsorted(problem.classes, labels)
    observed = np.asarray(problem.labels, dtype=np.float64)
    return (labels - observed.mean()) / max(float(observed.std()), np.finfo(float).tiny)


def _signed_values(problem: Problem, labels: np.ndarray) -> np.ndarray:
    """Return labels in units of their root mean square: flipped signs move their mean, which is not taken off."""
    observed = np.asarray(problem.labels, dtype=np.float64)
    return np.asarray(labels, dtype=np.float64) / max(float(np.sqrt(np.square(observed).mean())), np.finfo(float).tiny)


def indicators(values: np.ndarray) -> np.ndarray:
    """Return numbers as one column, and codes as a column a class, shape (n, k)."""
    if values.dtype.kind == "f":
        return values if values.ndim == 2 else values[:, None]
    return (values[:, None] == np.arange(int(values.max()) + 1)).astype(np.float64)


def _serial(problem: Problem, group: str) -> Statistic:
    codes = problem.codes(group)
    order = np.argsort(codes, kind="stable")
    same = np.diff(codes[order]) == 0
    first, second = order[:-1][same], order[1:][same]

    def statistic(values: np.ndarray) -> float:
        if not len(first):
            return 0.0
        if values.dtype.kind == "f":
            return float((values[first] * values[second]).mean())
        return float((values[first] == values[second]).mean())

    return statistic


def _cluster(problem: Problem, group: str) -> Statistic:
    codes = problem.codes(group)
    sizes = np.bincount(codes)
    n_classes = len(problem.classes)

    def statistic(values: np.ndarray) -> float:
        if values.dtype.kind == "f":
            shares = [(np.bincount(codes, column) ** 2 / sizes).sum() for column in indicators(values).T]
            return float(np.mean(shares) / len(values))
        counts = np.bincount(codes * n_classes + values, minlength=len(sizes) * n_classes).reshape(-1, n_classes)
        return float(((counts**2).sum(axis=1) / sizes).sum() / len(values))

    return statistic


def _size(problem: Problem) -> Statistic:
    """Return the statistic that moves only where whole groups of unequal size change labels."""

    def statistic(values: np.ndarray) -> float:
        if values.ndim == 2:
            return float(np.square(values.mean(axis=0)).sum())
        if values.dtype.kind == "f":
            return float(values.mean())
        counts = np.bincount(values)
        return float(counts[1] if problem.target == "binary" else np.square(counts).sum()) / len(values)

    return statistic
