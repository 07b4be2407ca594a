"""Labels of a planted null: as clustered and as serially dependent as those observed, and about nothing.

Three laws, the first that fits:

- labels constant within a named group: whole members of the group trade labels;
- other labels, of a problem with a unit: units trade their sets of labels (base rates, or quantiles),
  and within a unit labels follow one another as in a latent Gaussian series of lag one;
- of a problem without a unit: the same, all rows being one unit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, final

import numpy as np
from scipy.signal import lfilter

from controls.core.control import LabelControl, describe
from controls.core.errors import InputError
from controls.core.exactness import LEVEL, Trace, label_traces
from controls.core.exchangeability import Whole
from controls.core.label_sets import as_one_column
from controls.core.problem import Problem
from controls.core.rng import stream
from controls.generators.labels import ShuffleLabels

FEWEST = 20  # relabelings that members of a group must have, for them to be what is redrawn
_LATENT = (-0.99, 0.999)  # autocorrelations that are looked through
_STEPS, _SERIES = 12, 8  # halvings of that range, and draws at each of them
_CHANCE = 60  # draws of labels that do not depend on one another
_BEYOND = 2.6  # standard deviations of those, within which observed labels do not either: 99 in 100


class NullLabels(Protocol):
    """Draws labels that have nothing to do with the activations."""

    @property
    def words(self) -> str:
        """How labels are redrawn."""
        ...

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Return labels, as those of the problem that it was made for."""
        ...


@final
@dataclass(frozen=True, eq=False)
class ByControl:
    """Labels drawn by a control on labels."""

    problem: Problem
    control: LabelControl
    words: str

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Return the labels of one draw."""
        return np.asarray(self.control.draw(self.problem, rng).labels)


@final
@dataclass(frozen=True, eq=False)
class SerialLabels:
    """Labels whose units trade their sets of labels, serially dependent within units.

    A unit takes the quantiles of another unit's labels, so that it has that unit's base rates at its own
    length, in the order of stationary Gaussian series with lag-one autocorrelation ``rho``. A series tells
    high numbers from low ones (columns are added with random weights), or one half of the classes from the
    other: halves are split again, each time by chance and by a series of their own.

    Parameters
    ----------
    problem : Problem
        Whose labels are redrawn; rows of a unit are in the order given.
    rho : float
        Autocorrelation of the latent series.

    Notes
    -----
    With units of one length, draws have exactly the observed sets of labels; with ``rho`` 0 they are
    then uniform over shuffles within units and exchanges among them. O(n log n log C) a draw of C classes.
    """

    problem: Problem
    rho: float

    def __post_init__(self) -> None:
        units = _units(self.problem)
        order = np.argsort(units, kind="stable")
        sizes = np.bincount(units)
        object.__setattr__(self, "_layout", (order, sizes, np.cumsum(sizes) - sizes))
        object.__setattr__(self, "_values", _values(self.problem)[order])

    @property
    def words(self) -> str:
        """How labels are redrawn."""
        named = self.problem.unit
        where = f"one {named}" if named else "the sequence of all rows"
        what = f"the label counts of {named}s trade places" if named else "labels trade places"
        if not self.rho:
            return f"{what}; within {where} labels are in any order"
        how = f"(latent autocorrelation {self.rho:.2f}, fitted)"
        return f"{what}; within {where} neighbours depend on each other as those observed {how}"

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Return labels of shape (n,) or (n, k)."""
        return np.asarray(self.problem.labels)[self.rows(rng)]

    def rows(self, rng: np.random.Generator) -> np.ndarray:
        """Return, for each row, the row whose label it takes."""
        order, sizes, starts = self._layout  # type: ignore[attr-defined]
        unit = np.repeat(np.arange(len(sizes)), sizes)
        source = rng.permutation(len(sizes))[unit]
        quantile = (np.arange(len(unit)) - starts[unit] + rng.random(len(sizes))[unit]) / sizes[unit]
        key, bits = _key(self._values, rng)  # type: ignore[attr-defined]
        taken = np.lexsort((key, unit))[starts[source] + np.floor(quantile * sizes[source]).astype(np.int64)]
        half = np.zeros(len(unit), dtype=np.int64)
        for bit in range(bits - 1, -1, -1):
            half[np.lexsort((self._series(rng), half, unit))] = key[taken] >> bit
        rows = np.empty(len(unit), dtype=np.int64)
        rows[np.lexsort((self._series(rng), half, unit))] = taken
        found = np.empty_like(rows)
        found[order] = order[rows]
        return found

    def _series(self, rng: np.random.Generator) -> np.ndarray:
        return gaussian_series(self._layout[1], self.rho, rng)  # type: ignore[attr-defined]

    def persistence(self, rows: np.ndarray) -> float:
        """Return how much neighbours within units are alike: the share that agrees, or the mean product of numbers."""
        order, sizes, _ = self._layout  # type: ignore[attr-defined]
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        values = self._values[place[rows[order]]]  # type: ignore[attr-defined]
        same = np.diff(np.repeat(np.arange(len(sizes)), sizes)) == 0
        if not same.any():
            return 0.0
        alike = values[1:] == values[:-1] if values.ndim == 1 else (values[1:] * values[:-1]).mean(axis=1)
        return float(alike[same].mean())


def null_labels(problem: Problem, control: LabelControl | None, rng: np.random.Generator) -> NullLabels:
    """Return what draws the planted null's labels: a control where one is given, else the law that fits."""
    if control is not None:
        control.check(problem if problem.labels.ndim == 1 else as_one_column(problem))
        return ByControl(problem, control, f"drawn by {describe(control)}")
    group = _tied_group(problem)
    if group is not None:
        words = f"every {group} has one label, and whole {group}s trade labels"
        return ByControl(problem, ShuffleLabels(whole=group), words)
    return SerialLabels(problem, _fitted(problem, rng))


def not_kept(problem: Problem, null: NullLabels, rng: np.random.Generator) -> tuple[str, ...]:
    """Return what the labels observed have that redrawn ones never have, in words."""
    groups = [group for group in problem.groups if problem.codes(group).max() < problem.n - 1]
    flat = problem if problem.labels.ndim == 1 else as_one_column(problem)
    traces = label_traces(flat, _Drawn(problem, flat, null), rng, groups)  # type: ignore[arg-type]
    level = LEVEL / max(1, len(groups)) + 1e-12
    return tuple(
        _words(trace)
        for trace in traces
        if trace.p <= level and (trace.kind != "serial" or trace.group == problem.unit)
    )


def _words(trace: Trace) -> str:
    if trace.kind == "size":
        return f"labels go with the size of the groups that have them (p = {trace.p:.2g}), redrawn ones do not"
    if trace.kind == "serial":
        what, instead = "follow one another within", f'ct.ShuffleLabels(whole="{trace.group}", blocks=True)'
    else:
        what, instead = "cluster by", f'ct.ControlTask(per="{trace.group}")'
    return (
        f"labels {what} {trace.group} otherwise than redrawn ones ({trace.excess:+.2f}, p = {trace.p:.2g}); to keep "
        f"that, say how to redraw them, for example null={instead}"
    )


@dataclass(frozen=True, eq=False)
class _Drawn:
    """Null labels as what is drawn for a look at their traces: numbers of label sets, where labels have columns."""

    problem: Problem
    flat: Problem
    null: NullLabels

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        labels = self.null.draw(rng)
        if labels.ndim == 1:
            return labels
        table = self.flat.label_sets.table  # type: ignore[union-attr]
        both = np.unique(np.concatenate([table, labels]), axis=0, return_inverse=True)[1].ravel()
        number = np.full(int(both.max()) + 1, -1)
        number[both[: len(table)]] = np.arange(len(table))
        return number[both[len(table) :]]


def _tied_group(problem: Problem) -> str | None:
    """Return the largest-grained group whose members each have one label and enough ways to trade them."""
    classes = len(np.unique(problem.label_codes))
    tied: list[tuple[int, str]] = []
    for group in problem.groups:
        members = int(problem.codes(group).max()) + 1
        several = members < problem.n and (members > classes or problem.target == "continuous")
        if not several or not problem.constant_within(group):
            continue
        flat = problem if problem.labels.ndim == 1 else as_one_column(problem)
        if Whole(group).orbit(flat).log_count >= math.log(FEWEST) - 1e-9:
            tied.append((members, group))
    return min(tied)[1] if tied else None


def _fitted(problem: Problem, rng: np.random.Generator) -> float:
    """Return the latent autocorrelation at which drawn neighbours are as much alike as those observed.

    0 where neighbours are no more or less alike than by chance; else by bisection.
    """
    observed = SerialLabels(problem, 0.0).persistence(np.arange(problem.n))
    seed = int(rng.integers(2**31))  # the same numbers at every step, so that what is halved is monotone

    def drawn(rho: float, series: int) -> np.ndarray:
        labels = SerialLabels(problem, rho)
        return np.array([labels.persistence(labels.rows(stream(seed, "series", k))) for k in range(series)])

    chance = drawn(0.0, _CHANCE)
    if abs(observed - chance.mean()) <= _BEYOND * chance.std(ddof=1) + 1e-12:
        return 0.0
    low, high = _LATENT
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if drawn(middle, _SERIES).mean() < observed else (low, middle)
    return (low + high) / 2


def _units(problem: Problem) -> np.ndarray:
    return problem.unit_codes if problem.unit else np.zeros(problem.n, dtype=np.int64)


def _values(problem: Problem) -> np.ndarray:
    """Return class numbers (n,), or standardised numbers (n, k)."""
    labels = np.asarray(problem.labels)
    numbers = problem.target == "continuous" or (labels.ndim == 2 and labels.dtype.kind == "f")
    if not numbers:
        return problem.label_codes
    columns = labels.reshape(problem.n, -1).astype(np.float64)
    spread = columns.std(axis=0)
    return (columns - columns.mean(axis=0)) / np.where(spread > 0, spread, 1.0)


def _key(values: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """Return by what labels are put in order, and how often they are split in halves: never, where they are numbers."""
    if values.ndim == 2:
        return values @ rng.standard_normal(values.shape[1]), 0
    classes = int(values.max()) + 1
    return rng.permutation(classes)[values], (classes - 1).bit_length()


def gaussian_series(sizes: np.ndarray, rho: float, rng: np.random.Generator) -> np.ndarray:
    """Return stationary Gaussian series of lag-one autocorrelation ``rho``, one after another, shape (n,)."""
    n, starts = int(sizes.sum()), np.cumsum(sizes) - sizes
    noise = rng.standard_normal(n) * math.sqrt(1 - rho**2)
    noise[starts] /= math.sqrt(1 - rho**2)
    running = np.asarray(lfilter([1.0], [1.0, -rho], noise))
    before = np.concatenate([[0.0], running])[starts]  # what each series goes on from, which is not its own
    step = np.arange(n) - np.repeat(starts, sizes) + 1.0
    return running - np.repeat(before, sizes) * np.where(rho < 0, (-1.0) ** step, 1.0) * np.abs(rho) ** step


def require_labels(problem: Problem) -> None:
    """Refuse a problem without labels, or with constant ones."""
    if problem.labels is None:
        raise InputError("labels must be given to calibrate a pipeline, got None; its null is about labels.")
    if len(np.unique(problem.label_codes)) < 2:
        raise InputError(f"labels must not be constant, got one value in all {problem.n} rows.")
