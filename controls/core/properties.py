"""Named properties of a problem that controls keep or destroy, each of them something that can be executed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import numpy as np

from controls.core.arrays import same_array
from controls.core.exchangeability import IndexExchangeability, Whole
from controls.core.problem import Problem
from controls.core.strata import Given


class Stated(ABC):
    """Something that a control keeps or destroys, of a problem (:class:`Property`) or of a finding."""

    @property
    @abstractmethod
    def words(self) -> str:
        """The property in words, to follow "keeps" or "destroys"."""


class Property(Stated):
    """Something a control keeps. ``holds(before, after)`` says whether it did."""

    @abstractmethod
    def holds(self, before: Problem, after: Problem) -> bool:
        """Whether the property is the same before and after."""


class Association(Property):
    """Something a control destroys: a link of which a share from 1 (intact) to 0 (chance) can be measured."""

    @abstractmethod
    def strength(self, before: Problem, after: Problem) -> float:
        """Return how much of the link is left: 1 all, 0 as much as by chance."""

    def holds(self, before: Problem, after: Problem) -> bool:
        """Whether the link is intact."""
        return bool(np.isclose(self.strength(before, after), 1.0))


@final
@dataclass(frozen=True)
class SameActivations(Property):
    """The activations, bit for bit."""

    @property
    def words(self) -> str:
        """The property in words."""
        return "the activations"

    def holds(self, before: Problem, after: Problem) -> bool:
        """Whether every site's array is the same."""
        if not before.sites:
            return same_array(before.activations, after.activations)
        return before.sites == after.sites and all(
            same_array(before.activations[site], after.activations[site]) for site in before.sites
        )


@final
@dataclass(frozen=True)
class SameLabels(Property):
    """Every row's label."""

    @property
    def words(self) -> str:
        """The property in words."""
        return "the labels"

    def holds(self, before: Problem, after: Problem) -> bool:
        """Whether no label has changed."""
        if before.labels is None or after.labels is None:
            return before.labels is after.labels
        return same_array(before.labels, after.labels)


@final
@dataclass(frozen=True)
class SameGroups(Property):
    """The group columns and the unit."""

    @property
    def words(self) -> str:
        """The property in words."""
        return "the groups"

    def holds(self, before: Problem, after: Problem) -> bool:
        """Whether every column is the same."""
        names = list(before.groups) == list(after.groups) and before.unit == after.unit
        return names and all(same_array(before.groups[name], after.groups[name]) for name in before.groups)


@final
@dataclass(frozen=True)
class LabelCounts(Property):
    """How often each label occurs, optionally within each member of a group."""

    within: str | None = None
    per: str | None = None

    @property
    def words(self) -> str:
        """The property in words."""
        each = f" among {self.per}s" if self.per else ""
        return f"how often each label occurs{each}" + (f" within each {self.within}" if self.within else "")

    def holds(self, before: Problem, after: Problem) -> bool:
        """Whether the table of counts is the same."""
        rows = _one_row_each(before, self.per)
        strata = before.codes(self.within)[rows] if self.within else np.zeros(len(rows), dtype=np.int64)
        old, new = before.labels[rows], after.labels[rows]
        return same_array(old[np.lexsort((old, strata))], new[np.lexsort((new, strata))])


@final
@dataclass(frozen=True)
class LabelCountsWhere(Property):
    """How often each label occurs among the rows that agree in nuisance columns."""

    given: Given

    @property
    def words(self) -> str:
        """The property in words."""
        return f"how often each label occurs among the {self.given.words}".replace("labels of rows", "rows")

    def holds(self, before: Problem, after: Problem) -> bool:
        """Whether the table of counts is the same."""
        strata = self.given.strata(before)
        old, new = before.labels, after.labels
        return same_array(old[np.lexsort((old, strata))], new[np.lexsort((new, strata))])


@final
@dataclass(frozen=True)
class LabelSet(Property):
    """Which labels there can be."""

    @property
    def words(self) -> str:
        """The property in words."""
        return "the set of possible labels"

    def holds(self, before: Problem, after: Problem) -> bool:
        """Whether no new label has appeared."""
        return bool(np.isin(after.labels, before.classes).all())


@final
@dataclass(frozen=True)
class LabelSizes(Property):
    """The absolute value of each row's label."""

    @property
    def words(self) -> str:
        """The property in words."""
        return "the size of each label"

    def holds(self, before: Problem, after: Problem) -> bool:
        """Whether absolute values are the same."""
        return same_array(np.abs(before.labels), np.abs(after.labels))


@final
@dataclass(frozen=True)
class Ties(Property):
    """Rows of one group member share one label."""

    group: str

    @property
    def words(self) -> str:
        """The property in words."""
        return f"one label for all rows of a {self.group}"

    def holds(self, before: Problem, after: Problem) -> bool:
        """Whether each member has a single label after (whatever it had before)."""
        codes = before.codes(self.group)
        first = np.unique(codes, return_index=True)[1]
        return same_array(after.labels, after.labels[first][codes])


@final
@dataclass(frozen=True)
class Sequences(Property):
    """The label sequences of whole groups, in row order, as a multiset."""

    group: str

    @property
    def words(self) -> str:
        """The property in words."""
        return f"each label sequence of a {self.group}, whole and in order"

    def holds(self, before: Problem, after: Problem) -> bool:
        """Whether the same sequences are there."""
        return _sequences(before, self.group) == _sequences(after, self.group)


@final
@dataclass(frozen=True)
class LabelAlignment(Association):
    """Which row has which label: agreement with the observed labels beyond chance (kappa; correlation for numbers).

    ``per`` gives each member of a group one vote; ``within`` counts as chance what the label counts
    within each member of that group would give.
    """

    within: str | None = None
    per: str | None = None

    @property
    def words(self) -> str:
        """The property in words."""
        what = f"which {self.per or 'row'} has which label"
        return what + (f" within each {self.within}" if self.within else "")

    def strength(self, before: Problem, after: Problem) -> float:
        """Return kappa (classes) or correlation (numbers), within strata."""
        rows = _one_row_each(before, self.per)
        strata = before.codes(self.within)[rows] if self.within else np.zeros(len(rows), dtype=np.int64)
        return _agreement(before, before.labels[rows], after.labels[rows], strata)


@final
@dataclass(frozen=True)
class SequenceAlignment(Association):
    """Which group has which label sequence, among groups of equal length."""

    group: str
    within: str | None = None

    @property
    def words(self) -> str:
        """The property in words."""
        what = f"which {self.group} has which label sequence"
        return what + (f" within each {self.within}" if self.within else "")

    def strength(self, before: Problem, after: Problem) -> float:
        """Return agreement at the same place, beyond that of a random pair of groups that may trade places."""
        return RestrictedAlignment(Whole(self.group, self.within, blocks=True)).strength(before, after)


@final
@dataclass(frozen=True)
class RestrictedAlignment(Association):
    """Which row has which label, beyond what a restriction on rearrangements leaves in place."""

    restriction: IndexExchangeability

    @property
    def words(self) -> str:
        """The property in words."""
        return f"which of the {self.restriction.words} is where"

    def strength(self, before: Problem, after: Problem) -> float:
        """Return agreement beyond chance, where chance sends each row to any place it can reach."""
        strata = before.memo(("places", self), lambda: self.restriction.orbit(before).places)
        return _agreement(before, before.labels, after.labels, strata)


@final
@dataclass(frozen=True)
class SignAlignment(Association):
    """The sign of each label: correlation with the observed labels."""

    per: str | None = None

    @property
    def words(self) -> str:
        """The property in words."""
        return f"the sign of the labels of each {self.per or 'row'}"

    def strength(self, before: Problem, after: Problem) -> float:
        """Return the (uncentred) correlation with the observed labels."""
        return float(before.labels @ after.labels / max(before.labels @ before.labels, np.finfo(float).tiny))


def _one_row_each(problem: Problem, group: str | None) -> np.ndarray:
    if group is None:
        return np.arange(problem.n)
    return np.unique(problem.codes(group), return_index=True)[1]


def _agreement(problem: Problem, old: np.ndarray, new: np.ndarray, strata: np.ndarray) -> float:
    """Return kappa (classes) or correlation (numbers) of two label columns, within strata."""
    if problem.target == "continuous":
        old, new = _centred(old, strata), _centred(new, strata)
        return float(old @ new / max(np.sqrt((old @ old) * (new @ new)), np.finfo(float).tiny))
    return _kappa(old, new, strata)


def _centred(values: np.ndarray, strata: np.ndarray) -> np.ndarray:
    means = np.bincount(strata, values) / np.maximum(np.bincount(strata), 1)
    return values - means[strata]


def _kappa(old: np.ndarray, new: np.ndarray, strata: np.ndarray) -> float:
    classes = np.union1d(old, new)
    a, b = np.searchsorted(classes, old), np.searchsorted(classes, new)
    shape = (int(strata.max()) + 1, len(classes))
    counts = [np.bincount(strata * len(classes) + codes, minlength=shape[0] * shape[1]) for codes in (a, b)]
    sizes = np.maximum(np.bincount(strata, minlength=shape[0]), 1)
    chance = float(((counts[0] * counts[1]).reshape(shape).sum(axis=1) / sizes).sum())
    agree = float((a == b).sum())
    return (agree - chance) / max(len(a) - chance, np.finfo(float).tiny)


def _label_lists(problem: Problem, group: str) -> list[np.ndarray]:
    codes = problem.codes(group)
    order = np.argsort(codes, kind="stable")
    return np.split(problem.labels[order], np.cumsum(np.bincount(codes))[:-1])


def _sequences(problem: Problem, group: str) -> list[tuple]:
    return sorted(tuple(labels.tolist()) for labels in _label_lists(problem, group))
