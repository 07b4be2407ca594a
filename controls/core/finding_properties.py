"""Named properties of findings that controls keep or destroy, each of them something that can be executed."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Literal, final

import numpy as np

from controls.core.dictionary import as_dictionary
from controls.core.problem import Problem
from controls.core.properties import Stated
from controls.core.rng import stream
from controls.core.trainer import Trainer

Side = Literal["decoder", "encoder"]
_CLOSE = 1e-5  # relative; what single precision leaves
_ROUNDED = 1e-10  # of a cosine near 1, of which single precision leaves its square


class FindingProperty(Stated):
    """Something that a control keeps of a finding. ``holds(before, after, problem)`` says whether it did."""

    @abstractmethod
    def holds(self, before: Any, after: Any, problem: Problem) -> bool:
        """Whether the two findings agree in it, on the rows of a problem."""


class FindingAssociation(FindingProperty):
    """Something that a control destroys of a finding: a link of which the share left can be measured."""

    @abstractmethod
    def strength(self, before: Any, after: Any, problem: Problem) -> float:
        """Return how much of the link is left: 1 all, 0 as much as by chance."""

    def holds(self, before: Any, after: Any, problem: Problem) -> bool:
        """Whether the link is intact."""
        return bool(np.isclose(self.strength(before, after, problem), 1.0))


class TrainerProperty(Stated):
    """Something that holds of whatever a held-back trainer finds."""

    @abstractmethod
    def holds_of(self, trainer: Trainer, problem: Problem) -> bool:
        """Whether it holds of what this trainer finds in (parts of) a problem."""


@final
@dataclass(frozen=True)
class LatentCount(FindingProperty):
    """How many latents there are, in which sites."""

    @property
    def words(self) -> str:
        """The property in words."""
        return "how many latents there are"

    def holds(self, before: Any, after: Any, problem: Problem) -> bool:
        """Whether shapes and sites agree."""
        old, new = as_dictionary(before), as_dictionary(after)
        return (old.decoder.shape, old.reads, old.writes) == (new.decoder.shape, new.reads, new.writes)


@final
@dataclass(frozen=True)
class Lengths(FindingProperty):
    """The length of every direction."""

    @property
    def words(self) -> str:
        """The property in words."""
        return "how long each direction is"

    def holds(self, before: Any, after: Any, problem: Problem) -> bool:
        """Whether lengths agree, to single precision."""
        old, new = (np.linalg.norm(directions_of(each), axis=1) for each in (before, after))
        return old.shape == new.shape and bool(np.allclose(old, new, rtol=_CLOSE, atol=0))


@final
@dataclass(frozen=True)
class SameDirectionSet(FindingProperty):
    """Which directions there are, in whatever order, bit for bit."""

    @property
    def words(self) -> str:
        """The property in words."""
        return "which directions there are"

    def holds(self, before: Any, after: Any, problem: Problem) -> bool:
        """Whether the sorted decoders are the same."""
        old, new = (each[np.lexsort(each.T)] for each in map(directions_of, (before, after)))
        return np.array_equal(old, new)


@final
@dataclass(frozen=True)
class SameDecoder(FindingProperty):
    """The decoder, bit for bit."""

    @property
    def words(self) -> str:
        """The property in words."""
        return "the decoder"

    def holds(self, before: Any, after: Any, problem: Problem) -> bool:
        """Whether no number has changed."""
        return np.array_equal(directions_of(before), directions_of(after))


@final
@dataclass(frozen=True)
class SameLatents(FindingProperty):
    """Every latent of every row, bit for bit."""

    @property
    def words(self) -> str:
        """The property in words."""
        return "which latents fire where, and how strongly"

    def holds(self, before: Any, after: Any, problem: Problem) -> bool:
        """Whether no latent has changed."""
        return np.array_equal(latents_of(before, problem), latents_of(after, problem))


@final
@dataclass(frozen=True)
class FiringCounts(FindingProperty):
    """In how many rows each latent fires, within each member of a group where one is named."""

    within: str | None = None

    @property
    def words(self) -> str:
        """The property in words."""
        return "in how many rows each latent fires" + (f", within each {self.within}" if self.within else "")

    def holds(self, before: Any, after: Any, problem: Problem) -> bool:
        """Whether counts agree to the row."""
        old, new = (self._counts(each, problem) for each in (before, after))
        return np.array_equal(old, new)

    def _counts(self, finding: Any, problem: Problem) -> np.ndarray:
        fires = latents_of(finding, problem) != 0
        codes = problem.codes(self.within) if self.within else np.zeros(problem.n, dtype=np.int64)
        counts = np.zeros((int(codes.max()) + 1, fires.shape[1]), dtype=np.int64)
        np.add.at(counts, codes, fires)
        return counts


@final
@dataclass(frozen=True)
class LatentValues(FindingProperty):
    """Which values each latent takes, within each member of a group where one is named."""

    within: str | None = None

    @property
    def words(self) -> str:
        """The property in words."""
        return "which values each latent takes" + (f", within each {self.within}" if self.within else "")

    def holds(self, before: Any, after: Any, problem: Problem) -> bool:
        """Whether the sorted values of every latent are the same, bit for bit."""
        codes = problem.codes(self.within) if self.within else np.zeros(problem.n, dtype=np.int64)
        old, new = (latents_of(each, problem) for each in (before, after))
        return old.shape == new.shape and all(
            np.array_equal(np.sort(old[codes == code], axis=0), np.sort(new[codes == code], axis=0))
            for code in np.unique(codes)
        )


@final
@dataclass(frozen=True)
class LatentTurns(FindingProperty):
    """Each latent's sequence of values in each member of a group, up to where in it the sequence begins."""

    within: str | None = None

    @property
    def words(self) -> str:
        """The property in words."""
        return "in which order each latent's values follow one another, in a circle" + (
            f", within each {self.within}" if self.within else ""
        )

    def holds(self, before: Any, after: Any, problem: Problem) -> bool:
        """Whether some turn of every sequence is that of before."""
        codes = problem.codes(self.within) if self.within else np.zeros(problem.n, dtype=np.int64)
        old, new = (latents_of(each, problem) for each in (before, after))
        return all(
            _is_turn(old[codes == code, j], new[codes == code, j])
            for code in np.unique(codes)
            for j in range(old.shape[1])
        )


def _is_turn(old: np.ndarray, new: np.ndarray) -> bool:
    return any(np.array_equal(np.roll(old, shift), new) for shift in range(len(old)))


@final
@dataclass(frozen=True)
class MeanLatents(FindingProperty):
    """Each latent's mean over rows."""

    @property
    def words(self) -> str:
        """The property in words."""
        return "how strongly each latent fires on average"

    def holds(self, before: Any, after: Any, problem: Problem) -> bool:
        """Whether means agree, to single precision of the largest value."""
        old, new = (np.asarray(latents_of(each, problem), dtype=np.float64) for each in (before, after))
        return bool(np.allclose(old.mean(axis=0), new.mean(axis=0), rtol=1e-4, atol=1e-5 * np.abs(old).max(initial=0)))


@final
@dataclass(frozen=True)
class SameDirections(FindingProperty):
    """The directions themselves, up to their lengths."""

    side: Side = "decoder"

    @property
    def words(self) -> str:
        """The property in words."""
        return f"the {self.side}'s directions themselves"

    def holds(self, before: Any, after: Any, problem: Problem) -> bool:
        """Whether every direction points where it did, to single precision."""
        old, new = (unit_rows(directions_of(each, self.side)) for each in (before, after))
        return old.shape == new.shape and bool(((old * new).sum(axis=1) >= 1 - _ROUNDED).all())


@final
@dataclass(frozen=True)
class DirectionAlignment(FindingAssociation):
    """Where each latent's direction points: its mean cosine with the direction before."""

    side: Side = "decoder"

    @property
    def words(self) -> str:
        """The property in words."""
        return "where each direction points" if self.side == "decoder" else "by which direction each latent is read"

    def strength(self, before: Any, after: Any, problem: Problem) -> float:
        """Return the mean cosine of directions of the same latent, which random signs make 0 by chance."""
        old, new = (directions_of(each, self.side) for each in (before, after))
        lengths = np.linalg.norm(old, axis=1) * np.linalg.norm(new, axis=1)
        there = lengths > 0
        return float(((old * new).sum(axis=1)[there] / lengths[there]).mean())


@final
@dataclass(frozen=True)
class WriterAlignment(FindingAssociation):
    """Which latent writes which direction."""

    @property
    def words(self) -> str:
        """The property in words."""
        return "which latent writes which direction"

    def strength(self, before: Any, after: Any, problem: Problem) -> float:
        """Return the share of latents that write what they wrote, beyond the one in m that chance leaves."""
        old, new = directions_of(before), directions_of(after)
        left, chance = float((old == new).all(axis=1).mean()), 1 / len(old)
        return (left - chance) / (1 - chance)


@final
@dataclass(frozen=True)
class LatentAlignment(FindingAssociation):
    """On which rows each latent fires, within each member of a group where one is named."""

    within: str | None = None

    @property
    def words(self) -> str:
        """The property in words."""
        return "on which rows each latent fires" + (f", within each {self.within}" if self.within else "")

    def strength(self, before: Any, after: Any, problem: Problem) -> float:
        """Return the mean correlation over rows of a latent with itself before, about the means of the groups."""
        codes = problem.codes(self.within) if self.within else np.zeros(problem.n, dtype=np.int64)
        old, new = (_about_means(latents_of(each, problem), codes) for each in (before, after))
        spread = np.sqrt(np.square(old).sum(axis=0) * np.square(new).sum(axis=0))
        there = spread > 1e-12 * max(float(spread.max(initial=0)), 1e-300)
        return float(((old * new).sum(axis=0)[there] / spread[there]).mean())


def _about_means(latents: np.ndarray, codes: np.ndarray) -> np.ndarray:
    sums = np.zeros((int(codes.max()) + 1, latents.shape[1]))
    np.add.at(sums, codes, latents)
    return latents - (sums / np.bincount(codes)[:, None])[codes]


@final
@dataclass(frozen=True)
class HeldStill(TrainerProperty):
    """The drawn directions, whatever the rows that the rest is trained on."""

    side: Side
    least_cosine: float = 1.0

    @property
    def words(self) -> str:
        """The property in words."""
        far = "" if self.least_cosine == 1 else f", up to a cosine of {self.least_cosine:g}"
        return f"the {self.side}'s directions as drawn, whatever the training{far}"

    def holds_of(self, trainer: Trainer, problem: Problem) -> bool:
        """Whether it finds directions as near one another as two in the cone can be, in two halves of the rows."""
        rows = np.arange(problem.n)
        halves = [problem.take(rows[rows % 2 == half]) for half in (0, 1)]
        one, other = (unit_rows(directions_of(trainer.fit(half, stream(0, "half")), self.side)) for half in halves)
        if one.shape != other.shape:
            return False
        widest = 2 * self.least_cosine**2 - 1  # twice the angle to the axis of the cone
        return bool(((one * other).sum(axis=1) >= widest - _ROUNDED).all())


def unit_rows(directions: np.ndarray) -> np.ndarray:
    """Return directions at length 1, float64; rows of zeros stay so."""
    lengths = np.linalg.norm(np.asarray(directions, dtype=np.float64), axis=1, keepdims=True)
    return directions / np.where(lengths > 0, lengths, 1.0)


def directions_of(finding: Any, side: Side = "decoder") -> np.ndarray:
    """Return a finding's directions (m, d): of a dictionary's decoder or encoder, a linear model, or a vector."""
    if hasattr(finding, "coef_"):
        return np.atleast_2d(np.asarray(finding.coef_))
    if isinstance(finding, np.ndarray) and finding.ndim == 1:
        return finding[None]
    dictionary = as_dictionary(finding)
    rows = dictionary.decoder if side == "decoder" else dictionary.encoder
    if rows is None:
        raise ValueError("this finding has no encoder that is a matrix")
    return np.asarray(rows)


def latents_of(finding: Any, problem: Problem) -> np.ndarray:
    """Return all latents (n, m) of a small problem."""
    return np.concatenate([latents for _, latents in as_dictionary(finding).latents(problem)])
