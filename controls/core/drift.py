"""Do labels go with a number that a rearrangement breaks: the place in a sequence, or a nuisance inside its bins?

Circular shifts of signals that drift give false alarms in up to all cases (Harris 2020, Nonsense
correlations in neuroscience), and shuffles inside bins leave what the bins are too wide for. Both
show in the labels alone, held against their own rearrangements.
"""

from __future__ import annotations

import numpy as np

from controls.core.exactness import LEVEL, Statistic, Trace, indicators, label_traces, ranked, where_to_look
from controls.core.orbit import Orbit
from controls.core.problem import Problem
from controls.core.sequences import Shift, rows_of_each, sequence_codes
from controls.core.strata import Given


def bin_caveats(problem: Problem, restriction: Given, rng: np.random.Generator) -> tuple[str, ...]:
    """Return which nuisance columns labels still go with inside their bins, in words."""
    strata, named = restriction.strata(problem), []
    for name in restriction.columns:
        column = problem.groups[name]
        if column.dtype.kind not in "fiu":
            continue
        within = _centred_ranks(column, strata)
        if np.abs(within).max() > 0:
            named.append(("trend", name, _trend(within)))
    if not named:
        return ()
    traces = ranked(problem, restriction.orbit(problem), rng, named, 200 * len(named) - 1)
    return tuple(
        f"labels go with {trace.group} inside its bins (p = {trace.p:.2g}), which rearranging destroys too; "
        "cut it finer with bins="
        for trace in _found(traces)
    )


def drift_caveats(problem: Problem, restriction: Shift, rng: np.random.Generator) -> tuple[str, ...]:
    """Return how labels drift along their sequences, and what else shifting them destroys, in words."""
    orbit, within = restriction.orbit(problem), restriction.within
    traces = ranked(problem, orbit, rng, _trends(sequence_codes(problem, within)), 399)
    others = _clusters(problem, orbit, rng, within=within, what="shifting", control="ShiftLabels")
    return (*_drifts(traces, within, "shifting"), *others)


def burst_caveats(
    problem: Problem, orbit: Orbit, rng: np.random.Generator, *, within: str | None, gaps: bool
) -> tuple[str, ...]:
    """Return how labels drift, how their bursts keep apart or together, and what else moving them destroys."""
    codes = sequence_codes(problem, within)
    named = _trends(codes) + ([] if gaps else [("gaps", "", _gaps(codes))])
    traces = ranked(problem, orbit, rng, named, 200 * len(named) - 1)
    found = tuple(trace for trace in _found(traces) if trace.kind == "gaps")
    said = tuple(
        f"gaps between bursts are {'more uneven' if trace.excess > 0 else 'more even'} than where bursts lie anywhere "
        f"(p = {trace.p:.2g}), which moving them destroys too; gaps=True keeps them"
        for trace in found
    )
    others = _clusters(problem, orbit, rng, within=within, what="moving bursts", control="RateMatchedLabels")
    return (*_drifts(traces, within, "moving bursts"), *said, *others)


def _trends(codes: np.ndarray) -> list[tuple[str, str, Statistic]]:
    place = _places(codes)
    return [("trend", "", _trend(place)), ("own trend", "", _own_trend(place, codes))]


def _drifts(traces: tuple[Trace, ...], within: str | None, what: str) -> tuple[str, ...]:
    """Return the first trend that was found, in words."""
    found = [trace for trace in _found(traces) if trace.kind in ("trend", "own trend")][:1]
    remedy = f'; exchange whole sequences instead, ShuffleLabels(whole="{within}", blocks=True)' if within else ""
    return tuple(
        f"labels drift from the start to the end of {f'each {within}' if within else 'the rows'} (p = {trace.p:.2g}), "
        f"which {what} destroys too: with activations that drift as well, false alarms can reach all cases "
        f"(Harris 2020){remedy}"
        for trace in found
    )


def _clusters(
    problem: Problem, orbit: Orbit, rng: np.random.Generator, *, within: str | None, what: str, control: str
) -> tuple[str, ...]:
    """Return in which groups, other than that of the control, labels cluster in a way that its draws undo."""
    groups = [group for group in where_to_look(problem, ()) if group != within]
    traces = label_traces(problem, orbit, rng, groups) if groups else ()
    return tuple(
        f"labels cluster by {trace.group} (p = {trace.p:.2g}), which {what} destroys too; "
        f'{control}(within="{trace.group}") keeps that'
        for trace in _found(tuple(trace for trace in traces if trace.kind == "cluster"))
    )


def _found(traces: tuple[Trace, ...]) -> tuple[Trace, ...]:
    return tuple(trace for trace in traces if trace.p <= LEVEL / len(traces) + 1e-12)


# -- statistics ----------------------------------------------------------------------------------------


def _trend(numbers: np.ndarray) -> Statistic:
    """Return the statistic of a common trend: how far labels lean towards high or low numbers (n,), centred."""
    scale = max(float(numbers @ numbers), np.finfo(float).tiny)
    return lambda values: float(np.square(numbers @ indicators(values)).sum() / scale)


def _own_trend(numbers: np.ndarray, codes: np.ndarray) -> Statistic:
    """Return the statistic of trends that each group has for itself, upwards or downwards."""
    scale = max(float(numbers @ numbers), np.finfo(float).tiny)

    def statistic(values: np.ndarray) -> float:
        columns = indicators(values).T
        return float(sum(np.square(np.bincount(codes, numbers * column)).sum() for column in columns) / scale)

    return statistic


def _gaps(codes: np.ndarray) -> Statistic:
    """Return the statistic of uneven gaps: the sum of their squared lengths between bursts."""
    order = np.argsort(codes, kind="stable")
    new = np.diff(codes[order], prepend=-1) != 0

    def statistic(values: np.ndarray) -> float:
        fires = np.flatnonzero(values[order] > 0)
        apart = np.diff(fires)
        between = (np.diff(np.cumsum(new)[fires]) == 0) & (apart > 1)
        return float(np.square(apart[between] - 1.0).sum() / len(values))

    return statistic


def _places(codes: np.ndarray) -> np.ndarray:
    """Return each row's place in its group, from −1/2 at the start to +1/2 at the end."""
    places = np.empty(len(codes))
    for rows in rows_of_each(codes):
        places[rows] = (np.arange(len(rows)) - (len(rows) - 1) / 2) / len(rows)
    return places


def _centred_ranks(column: np.ndarray, strata: np.ndarray) -> np.ndarray:
    """Return a column's ranks (of distinct values) minus their mean in the stratum."""
    ranks = np.unique(column, return_inverse=True)[1].ravel().astype(np.float64)
    return ranks - (np.bincount(strata, ranks) / np.bincount(strata))[strata]
