"""What controls on inputs keep and destroy of a text, as properties that can be executed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from controls.core.problem import Problem
from controls.core.properties import Association, Property
from controls.generators.tokens import documents_of_tokens
from controls.models.tokens import Text, text_of


def texts(before: Problem, after: Problem, fixed: tuple[int, ...] = ()) -> tuple[Text, Text]:
    """Return the texts of two problems, of which the first says which tokens are free."""
    assert before.source is not None
    assert after.source is not None
    one, two = text_of(before.source.inputs), text_of(after.source.inputs)
    free = ~np.isin(one.ids, fixed)
    return one.taking(free), two.taking(free)


@final
@dataclass(frozen=True)
class SameLayout(Property):
    """Where padding, special and fixed tokens are, and which: everything that is not free."""

    fixed: tuple[int, ...] = ()

    @property
    def words(self) -> str:
        """The property in words."""
        return "padding, special tokens and the length of each sequence"

    def holds(self, before: Problem, after: Problem) -> bool:
        """Whether all that is not free is the same, to the bit."""
        assert before.source is not None
        assert after.source is not None
        old, new = (text_of(problem.source.inputs) for problem in (before, after))  # type: ignore[union-attr]
        if not (np.array_equal(old.sequence, new.sequence) and np.array_equal(old.position, new.position)):
            return False
        free = np.isin(old.ids, self.fixed)
        blank = np.zeros_like(old.ids)
        same = np.array_equal(old.ids[free], new.ids[free])
        return same and _equal(old.written(blank), new.written(blank))


def _equal(old: object, new: object) -> bool:
    if hasattr(old, "arrays"):
        arrays = old.arrays, new.arrays  # type: ignore[attr-defined]
        return arrays[0].keys() == arrays[1].keys() and all(
            np.array_equal(arrays[0][name].cpu().numpy(), arrays[1][name].cpu().numpy()) for name in arrays[0]
        )
    if isinstance(old, np.ndarray):
        return np.array_equal(old, new)  # type: ignore[arg-type]
    return all(np.array_equal(a, b) for a, b in zip(old, new, strict=True))  # type: ignore[call-overload]


@final
@dataclass(frozen=True)
class TokenCounts(Property):
    """How often each run of ``keep`` tokens occurs within each document."""

    keep: int = 1
    within: str = "sequence"
    fixed: tuple[int, ...] = ()

    @property
    def words(self) -> str:
        """The property in words."""
        what = "token" if self.keep == 1 else f"run of {self.keep} tokens"
        return f"how often each {what} occurs within each {self.within}"

    def holds(self, before: Problem, after: Problem) -> bool:
        """Whether the table of counts is the same."""
        old, new = texts(before, after, self.fixed)
        document = documents_of_tokens(before, old, self.within)
        order = np.argsort(document, kind="stable")
        document = document[order]
        inside = np.flatnonzero(document[: len(document) - self.keep + 1] == document[self.keep - 1 :])
        lets = [
            np.stack([document[inside], *(ids[inside + ahead] for ahead in range(self.keep))])
            for ids in (old.ids[order], new.ids[order])
        ]
        return all(np.array_equal(a, b) for a, b in zip(*map(_sorted, lets), strict=True))


def _sorted(lets: np.ndarray) -> np.ndarray:
    return lets[:, np.lexsort(lets[::-1])]


@final
@dataclass(frozen=True)
class TokenPlaces(Association):
    """Which token is where: agreement with the observed text beyond what the counts of each document give.

    ``within="position"``: beyond what the counts of tokens at each position give.
    """

    within: str = "sequence"
    fixed: tuple[int, ...] = ()

    @property
    def words(self) -> str:
        """The property in words."""
        return f"which token is {'at' if self.within == 'position' else 'where within'} each {self.within}"

    def strength(self, before: Problem, after: Problem) -> float:
        """Return the agreement beyond chance, where both texts' counts within documents say what chance is."""
        old, new = texts(before, after, self.fixed)
        by_position = self.within == "position"
        document = old.position if by_position else documents_of_tokens(before, old, self.within)
        codes = np.unique(document, return_inverse=True)[1].ravel()
        agree = float((old.ids == new.ids).sum())
        kinds = np.unique(np.concatenate([old.ids, new.ids]), return_inverse=True)[1].ravel().reshape(2, -1)
        keys = codes * (int(kinds.max()) + 1) + kinds
        either, first = np.unique(keys.ravel(), return_inverse=True)
        counts = [np.bincount(part, minlength=len(either)) for part in first.reshape(2, -1)]
        owner = either // (int(kinds.max()) + 1)
        chance = float((counts[0] * counts[1] / np.bincount(codes)[owner]).sum())
        return (agree - chance) / max(len(old.ids) - chance, np.finfo(float).tiny)


@final
@dataclass(frozen=True)
class TokenOrder(Property):
    """The order of each document's tokens, beyond what runs of ``keep`` tokens say of it."""

    keep: int
    fixed: tuple[int, ...] = ()

    @property
    def words(self) -> str:
        """The property in words."""
        return f"the order of tokens beyond runs of {self.keep}"

    def holds(self, before: Problem, after: Problem) -> bool:
        """Whether every token is where it was."""
        old, new = texts(before, after, self.fixed)
        return np.array_equal(old.ids, new.ids)
