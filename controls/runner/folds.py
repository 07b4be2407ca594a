"""Folds: which units each fit does not see. One rule makes them for observed and drawn labels alike."""

from __future__ import annotations

import copy
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, final

import numpy as np

from controls.core.errors import InputError, InputTypeError
from controls.core.metric import Metric
from controls.core.problem import Problem
from controls.core.rng import stream
from controls.core.trainer import Split
from controls.core.validate import whole_number

_ATTEMPTS = 20  # splits that are tried in turn where a fit or a score would be undefined


@dataclass(frozen=True)
class Choice:
    """Folds, and the label columns that are fitted on them."""

    key: str
    splits: tuple[Split, ...]
    columns: np.ndarray


class Folds(ABC):
    """Chooses the folds of each label column."""

    @property
    @abstractmethod
    def words(self) -> str:
        """The rule in words."""

    @property
    def key(self) -> str:
        """A hash of the folds that columns get unless their labels ask for others."""
        return _key(self.default())

    @property
    def online(self) -> bool:
        """Whether folds are blocks one after another, whose rows make one message."""
        return False

    @abstractmethod
    def choose(self, targets: np.ndarray, usable: Callable[[Sequence[Split], np.ndarray], np.ndarray]) -> list[Choice]:
        """Return the folds of each column of ``targets`` (n, B).

        ``usable(splits, targets)`` counts, for each column, the folds on which it can be fitted and scored.
        """

    @abstractmethod
    def default(self) -> tuple[Split, ...]:
        """Return the folds that columns get unless their labels ask for others."""


@final
@dataclass(frozen=True, eq=False)
class UnitFolds(Folds):
    """Folds of whole units that depend on units and seed alone.

    Units are shuffled and dealt to the folds in turn. Where a label column leaves a fold that cannot
    be fitted or scored (a class missing), the next of 20 such splits is tried, and the one with the
    most usable folds taken; this rule is part of the statistic.
    """

    units: np.ndarray
    n_splits: int
    seed: int
    unit: str

    @property
    def words(self) -> str:
        """The rule in words."""
        return f"{self.n_splits} folds of whole {plural(self.unit)}"

    def default(self) -> tuple[Split, ...]:
        """Return the first split."""
        return self._split(0)

    def _split(self, attempt: int) -> tuple[Split, ...]:
        n_units = int(self.units.max()) + 1
        fold_of_unit = np.empty(n_units, dtype=np.int64)
        fold_of_unit[stream(self.seed, "folds", attempt).permutation(n_units)] = np.arange(n_units) % self.n_splits
        fold = fold_of_unit[self.units]
        return tuple((np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(self.n_splits))

    def choose(self, targets: np.ndarray, usable: Callable[[Sequence[Split], np.ndarray], np.ndarray]) -> list[Choice]:
        """Return the first split with the most usable folds for each column."""
        best = np.full(targets.shape[1], -1)
        chosen = np.zeros(targets.shape[1], dtype=np.int64)
        splits: dict[int, tuple[Split, ...]] = {}
        for attempt in range(_ATTEMPTS):
            todo = np.flatnonzero(best < self.n_splits)
            if not len(todo):
                break
            splits[attempt] = self._split(attempt)
            count = usable(splits[attempt], targets[:, todo])
            better = todo[count > best[todo]]
            chosen[better] = attempt
            best[todo] = np.maximum(best[todo], count)
        return [Choice(str(a), splits[a], np.flatnonzero(chosen == a)) for a in np.unique(chosen)]


@final
@dataclass(frozen=True, eq=False)
class OnlineFolds(Folds):
    """Blocks of whole units in an order that depends on the seed alone; each fold trains on all blocks before it.

    All label columns have the same blocks: a block that cannot be fitted has a score all the same.
    """

    units: np.ndarray
    timesteps: tuple[float, ...]
    seed: int
    unit: str

    @property
    def words(self) -> str:
        """The rule in words."""
        return f"{len(self.default()) + 1} blocks of whole {plural(self.unit)}, each coded after those before it"

    @property
    def online(self) -> bool:
        """They are."""
        return True

    def default(self) -> tuple[Split, ...]:
        """Return the folds; the first block is trained on, and is in no test."""
        n_units = int(self.units.max()) + 1
        place = np.empty(n_units, dtype=np.int64)
        place[stream(self.seed, "folds", "online").permutation(n_units)] = np.arange(n_units)
        ends = np.unique([min(n_units - 1, max(1, round(share * n_units))) for share in self.timesteps])
        block = np.searchsorted(ends, place[self.units], side="right")
        return tuple((np.flatnonzero(block < k), np.flatnonzero(block == k)) for k in range(1, len(ends) + 1))

    def choose(self, targets: np.ndarray, usable: Callable[[Sequence[Split], np.ndarray], np.ndarray]) -> list[Choice]:
        """Return the same blocks for every column."""
        return [Choice("online", self.default(), np.arange(targets.shape[1]))]


@final
@dataclass(frozen=True, eq=False)
class SplitterFolds(Folds):
    """Folds of a scikit-learn splitter, made anew for every label column, as it would make them."""

    splitter: Any
    problem: Problem

    @property
    def words(self) -> str:
        """The rule in words."""
        return f"{self.splitter!r}"

    def default(self) -> tuple[Split, ...]:
        """Return the folds for the observed labels."""
        return self._split(self.problem.labels)

    def _split(self, labels: Any) -> tuple[Split, ...]:
        with warnings.catch_warnings():
            # Units are offered to every splitter, and most have no use for them.
            warnings.filterwarnings("ignore", "The groups parameter is ignored", UserWarning)
            try:
                pairs = list(self.splitter.split(np.zeros((self.problem.n, 1)), labels, self.problem.unit_codes))
            except (ValueError, TypeError) as error:
                raise InputError(f"cv={self.words} cannot split these rows: {error}") from error
        return _checked(pairs, self.problem)

    def choose(self, targets: np.ndarray, usable: Callable[[Sequence[Split], np.ndarray], np.ndarray]) -> list[Choice]:
        """Return the splitter's folds for each column; columns with the same folds share them."""
        found: dict[str, tuple[tuple[Split, ...], list[int]]] = {}
        for column in range(targets.shape[1]):
            splits = self._split(targets[:, column])
            key = _key(splits)
            found.setdefault(key, (splits, []))[1].append(column)
        return [Choice(key, splits, np.array(columns)) for key, (splits, columns) in found.items()]


@final
@dataclass(frozen=True, eq=False)
class FixedFolds(Folds):
    """Folds that the caller gave as (train, test) rows."""

    splits: tuple[Split, ...]

    @property
    def words(self) -> str:
        """The rule in words."""
        return f"{len(self.splits)} folds as given"

    def default(self) -> tuple[Split, ...]:
        """Return them."""
        return self.splits

    def choose(self, targets: np.ndarray, usable: Callable[[Sequence[Split], np.ndarray], np.ndarray]) -> list[Choice]:
        """Return the same folds for every column."""
        return [Choice("given", self.splits, np.arange(targets.shape[1]))]


def _key(splits: Sequence[Split]) -> str:
    return sha256(b"|".join(part.tobytes() for pair in splits for part in pair)).hexdigest()


def plural(unit: str) -> str:
    """Return the name of many of a unit."""
    return unit if unit.endswith("s") else f"{unit}s"


def make_folds(cv: Any, problem: Problem, seed: int) -> Folds:
    """Return the folds that ``cv`` asks for; refuse too few units, or a unit on both sides."""
    if cv is None or isinstance(cv, (int, np.integer)):
        return _unit_folds(cv, problem, seed)
    if hasattr(cv, "split") and hasattr(cv, "get_n_splits"):
        folds = SplitterFolds(_seeded(cv, seed), problem)
        folds.default()
        return folds
    if isinstance(cv, Iterable) and not isinstance(cv, (str, bytes)):
        return FixedFolds(_checked(cv, problem))
    raise InputTypeError(
        f"cv must be an integer, a scikit-learn splitter, or an iterable of (train, test) rows, got {cv!r}."
    )


def folds_for(metric: Metric, cv: Any, problem: Problem, seed: int) -> Folds:
    """Return the folds that a metric makes itself, or those that ``cv`` asks for."""
    if metric.timesteps is None:
        return make_folds(cv, problem, seed)
    if cv is not None:
        raise InputError(f"cv must be None for scoring={metric.name!r}, which makes blocks of its own, got {cv!r}.")
    _check_units(problem)
    return OnlineFolds(problem.unit_codes, metric.timesteps, seed, problem.unit_name)


def _check_units(problem: Problem) -> None:
    if problem.n_units < 2:
        raise InputError(
            f"unit {problem.unit_name!r} must have at least two members to split by, got one; name a finer unit, "
            "or add data."
        )


def _unit_folds(cv: Any, problem: Problem, seed: int) -> UnitFolds:
    n_units, unit = problem.n_units, problem.unit_name
    _check_units(problem)
    if cv is not None:
        whole_number(cv, "cv", low=2)
        if cv > n_units:
            raise InputError(f"cv must be at most the number of units ({n_units} {unit}), got {cv}; use fewer folds.")
    n_splits = int(cv) if cv is not None else max(2, min(5, n_units // 2))
    return UnitFolds(problem.unit_codes, n_splits, seed, unit)


def _seeded(splitter: Any, seed: int) -> Any:
    """Return a copy whose shuffling, if any, is fixed: folds must be one function of the labels."""
    splitter = copy.deepcopy(splitter)
    if getattr(splitter, "random_state", 0) is None or isinstance(
        getattr(splitter, "random_state", 0), np.random.RandomState
    ):
        splitter.random_state = int(stream(seed, "splitter").integers(2**31))
    return splitter


def _checked(pairs: Iterable[Any], problem: Problem) -> tuple[Split, ...]:
    splits = []
    for number, pair in enumerate(pairs):
        try:
            train, test = (_rows(part, problem.n) for part in pair)
        except (TypeError, ValueError, IndexError) as error:
            raise InputError(
                f"cv must give pairs of row indices from 0 to {problem.n - 1}, or masks, got in fold {number}: {error}."
            ) from error
        if not len(train) or not len(test):
            raise InputError(f"cv must give rows to train and to test on, but fold {number} has none of one kind.")
        shared = np.intersect1d(problem.unit_codes[train], problem.unit_codes[test])
        if len(shared):
            raise InputError(
                f"cv must keep each {problem.unit_name} on one side, but fold {number} trains and tests on "
                f"{len(shared)} of the same; use an integer, or GroupKFold."
            )
        splits.append((train, test))
    if not splits:
        raise InputError("cv must give at least one fold, got none.")
    return tuple(splits)


def _rows(part: Any, n: int) -> np.ndarray:
    rows = np.asarray(part)
    if rows.ndim != 1 or (rows.dtype == bool and len(rows) != n):
        raise ValueError(f"an array of shape {rows.shape}")
    if len(rows) and rows.dtype.kind not in "iub":
        raise ValueError(f"dtype {rows.dtype}")
    rows = np.flatnonzero(rows) if rows.dtype == bool else rows.astype(np.int64)
    if len(rows) and (rows.min() < 0 or rows.max() >= n):
        raise ValueError(f"row {int(rows.min() if rows.min() < 0 else rows.max())}")
    return rows
