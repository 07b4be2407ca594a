"""What may be exchanged with what, under the null: a restriction that compiles to an orbit of relabelings.

``free`` rows · ``within`` a group · ``whole`` groups · ``nested`` blocks · ``sign-flip`` · ``fixed``;
in files of their own: strata of nuisance columns (``Given``), and sequences (``Shift``, ``Runs``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import numpy as np

from controls.core.errors import InputError, InputTypeError
from controls.core.orbit import ExpandedOrbit, IndexOrbit, Orbit, SignOrbit, TreeOrbit
from controls.core.problem import Problem


class Exchangeability(ABC):
    """Which rearrangements of the labels leave their law unchanged under the null.

    Subclasses are groups of transformations (closed, with inverses and the identity), so that
    draws from all of them, with the observed labels, give exact p-values (Hemerik and Goeman 2018).
    """

    @abstractmethod
    def orbit(self, problem: Problem) -> Orbit:
        """Return the distinct relabelings of a problem's labels under this restriction."""

    @property
    @abstractmethod
    def groups_named(self) -> tuple[str, ...]:
        """The groups that the restriction speaks of."""

    @property
    @abstractmethod
    def words(self) -> str:
        """What is exchanged, in words."""


class IndexExchangeability(Exchangeability):
    """A restriction that permutes rows, so that a draw is an array of row indices."""

    @abstractmethod
    def orbit(self, problem: Problem) -> IndexOrbit:
        """Return the distinct relabelings; ``orbit.order(rng)`` gives row indices."""

    @property
    def confined_to(self) -> str | None:
        """The group whose members each keep their own labels; None where there is none."""
        return None

    def contains(self, other: IndexExchangeability) -> bool:
        """Whether every rearrangement of ``other`` is one of these, on any problem.

        Whole groups are copied onto groups of other sizes, which permutes no rows: none but itself
        contains it.
        """
        copies = isinstance(other, Whole) and not other.blocks
        confined = isinstance(self, Within) and other.confined_to == self.group
        return self == other or confined or (isinstance(self, Free) and not copies)


@final
@dataclass(frozen=True)
class Free(IndexExchangeability):
    """All rows are exchangeable."""

    def orbit(self, problem: Problem) -> TreeOrbit:
        """Return the n! / prod n_k! relabelings."""
        return TreeOrbit(labels_of(problem))

    @property
    def groups_named(self) -> tuple[str, ...]:
        """The groups that the restriction speaks of."""
        return ()

    @property
    def words(self) -> str:
        """What is exchanged, in words."""
        return "labels of all rows"


@final
@dataclass(frozen=True)
class Within(IndexExchangeability):
    """Rows are exchangeable within each member of a group; groups may be of any size."""

    group: str

    def orbit(self, problem: Problem) -> TreeOrbit:
        """Return the prod_g n_g! / prod n_gk! relabelings."""
        return TreeOrbit(labels_of(problem), ((problem.codes(self.group), False),))

    @property
    def confined_to(self) -> str | None:
        """The group that labels never leave."""
        return self.group

    @property
    def groups_named(self) -> tuple[str, ...]:
        """The groups that the restriction speaks of."""
        return (self.group,)

    @property
    def words(self) -> str:
        """What is exchanged, in words."""
        return f"labels of rows within the same {self.group}"


@final
@dataclass(frozen=True)
class Whole(IndexExchangeability):
    """Whole groups are exchangeable, optionally only those within the same larger group.

    Where each group has one label, labels of groups are permuted and sizes may differ. With
    ``blocks=True`` label sequences are exchanged among groups of equal length, in row order.
    """

    group: str
    within: str | None = None
    blocks: bool = False

    def orbit(self, problem: Problem) -> TreeOrbit | ExpandedOrbit:
        """Return the relabelings; refuses labels that vary within a group, except as blocks."""
        labels, codes = labels_of(problem), problem.codes(self.group)
        outer = () if self.within is None else ((_nested_in(problem, self.group, self.within), False),)
        if self.blocks:
            return TreeOrbit(labels, (*outer, (codes, True)), rows=False)
        self._refuse_varying(problem, codes)
        first = np.unique(codes, return_index=True)[1]
        levels = tuple((level[first], exchange) for level, exchange in outer)
        return ExpandedOrbit(TreeOrbit(labels[first], levels), codes, first)

    def _refuse_varying(self, problem: Problem, codes: np.ndarray) -> None:
        pairs = np.unique(np.stack([codes, problem.label_codes]), axis=1)[0]
        varying = int((np.bincount(pairs) > 1).sum())
        if varying:
            raise InputError(
                f"whole={self.group!r} exchanges whole groups, whose label must be constant within each, "
                f"but labels vary within {varying} of {int(codes.max()) + 1}; pass blocks=True to exchange "
                f"label sequences among groups of equal length, or within={self.group!r} to shuffle inside them."
            )

    @property
    def groups_named(self) -> tuple[str, ...]:
        """The groups that the restriction speaks of."""
        return (self.group, self.within) if self.within else (self.group,)

    @property
    def words(self) -> str:
        """What is exchanged, in words."""
        what = f"label sequences of equally long {self.group}s" if self.blocks else f"labels of whole {self.group}s"
        return what + (f" within the same {self.within}" if self.within else "")


@final
@dataclass(frozen=True)
class Nested(IndexExchangeability):
    """Blocks of one shape trade places within larger blocks, at each level that says so.

    Parameters
    ----------
    groups : tuple of str
        Group names from the outermost to the innermost; each must be nested in the one before.
    exchange : tuple of bool
        For each of them, whether its blocks trade places within their parent.
    rows : bool
        Whether rows trade places within the innermost block.
    """

    groups: tuple[str, ...]
    exchange: tuple[bool, ...]
    rows: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "groups", tuple(self.groups))
        object.__setattr__(self, "exchange", tuple(self.exchange))

    def orbit(self, problem: Problem) -> TreeOrbit:
        """Return the relabelings of the tree."""
        if len(self.groups) != len(self.exchange) or not self.groups:
            raise InputError(
                f"exchange must have one entry per group, got {len(self.exchange)} for {len(self.groups)} groups."
            )
        for inner, outer in zip(self.groups[1:], self.groups, strict=False):
            _nested_in(problem, inner, outer)
        levels = tuple((problem.codes(name), free) for name, free in zip(self.groups, self.exchange, strict=True))
        return TreeOrbit(labels_of(problem), levels, self.rows)

    @property
    def groups_named(self) -> tuple[str, ...]:
        """The groups that the restriction speaks of."""
        return self.groups

    @property
    def words(self) -> str:
        """What is exchanged, in words."""
        moving = [name for name, free in zip(self.groups, self.exchange, strict=True) if free]
        parts = [f"equally shaped {name}s" for name in moving] + (["rows"] if self.rows else [])
        return f"{' and '.join(parts) or 'nothing'}, in the tree {' > '.join(self.groups)} > rows"


@final
@dataclass(frozen=True)
class SignFlip(Exchangeability):
    """The signs of the labels of whole groups (or of single rows) are exchangeable."""

    per: str | None = None

    def orbit(self, problem: Problem) -> SignOrbit:
        """Return the 2^k relabelings."""
        if problem.labels is not None and (problem.labels.ndim == 2 or problem.label_sets is not None):
            raise InputError("labels must have shape (n,) for sign flips, got several columns; measure one at a time.")
        labels = labels_of(problem)
        if labels.dtype.kind not in "fi":
            raise InputTypeError(f"labels must be signed numbers for sign flips, got dtype {labels.dtype}.")
        return SignOrbit(labels, problem.codes(self.per) if self.per else np.arange(problem.n))

    @property
    def groups_named(self) -> tuple[str, ...]:
        """The groups that the restriction speaks of."""
        return (self.per,) if self.per else ()

    @property
    def words(self) -> str:
        """What is exchanged, in words."""
        return f"signs of the labels of each {self.per or 'row'}"


@final
@dataclass(frozen=True)
class Fixed(IndexExchangeability):
    """Nothing is exchangeable."""

    def orbit(self, problem: Problem) -> TreeOrbit:
        """Return the one relabeling there is."""
        return TreeOrbit(labels_of(problem), rows=False)

    @property
    def groups_named(self) -> tuple[str, ...]:
        """The groups that the restriction speaks of."""
        return ()

    @property
    def words(self) -> str:
        """What is exchanged, in words."""
        return "nothing"


def labels_of(problem: Problem) -> np.ndarray:
    """Return the problem's labels, of shape (n,); of several columns, the number of each row's set of labels."""
    if problem.labels is None:
        raise InputError("labels must be given for a control on labels, got None.")
    return problem.labels if problem.labels.ndim == 1 else problem.label_codes


def _nested_in(problem: Problem, inner: str, outer: str) -> np.ndarray:
    """Return the codes of ``outer``, refusing an ``inner`` group with members in several of its groups."""
    inner_codes, outer_codes = problem.codes(inner), problem.codes(outer)
    pairs = np.unique(np.stack([inner_codes, outer_codes]), axis=1)[0]
    crossing = int((np.bincount(pairs) > 1).sum())
    if crossing:
        raise InputError(
            f"{inner!r} must be nested in {outer!r}, but {crossing} of its members lie in several; "
            f"no group of permutations respects both: use one of the two, or a finer {inner!r}."
        )
    return outer_codes
