"""SurrogateLatents: latents that fire as often and as strongly as those found, on other rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, final

import numpy as np

from controls.core.control import FindingControl, Inference
from controls.core.dictionary import Block, Dictionary, as_dictionary, side_by_side
from controls.core.errors import CannotControl, InputError
from controls.core.finding_properties import FiringCounts, LatentAlignment, LatentTurns, LatentValues, SameDecoder
from controls.core.problem import Problem
from controls.core.properties import Stated
from controls.core.rng import stream
from controls.core.validate import one_of

_NUMBERS = 1 << 24  # of a block of latents


@final
@dataclass(frozen=True)
class SurrogateLatents(FindingControl):
    """Keeps how often and how strongly each latent fires, and destroys on which rows: chance for the best of m latents.

    Parameters
    ----------
    within : str, optional
        A group such as "document", within each member of which latents are moved; all rows where None.
    method : {"permute", "shift"}
        "permute": each latent's values are permuted, independently of other latents. "shift": they are turned round
        in a circle, by a number of rows of its own for each latent and group; rows are in the order of the arrays.

    Raises
    ------
    CannotControl
        Groups of one row each, within which nothing can move.
    InputError
        ``encode`` of a surrogate that is made within groups, which rows alone do not name.

    Notes
    -----
    Null hypothesis ("permute"): given how often and how strongly each latent fires, every placement over the rows
    was equally probable, independently of other latents and whatever the labels. Draws are uniform over these
    placements, so p is exact under it where rows are units. Where units have several rows, the word is withdrawn:
    rows of a text depend on those before, which permutations do not keep, and shifts do up to a seam.
    Latents that fire together are part of what the null denies: the best of m latents that go together is
    lower by chance than that of m that do not, so that the control is stern for such metrics, not lenient.

    A surrogate belongs to the rows of a problem: ``latents`` and ``blocks`` place the latents of *all* its rows,
    in the same way each time and however many rows a block has. ``encode`` takes the rows it is given for all there
    are. The decoder stays, so that reconstructions are of surrogate latents.

    Cost: one encoding and O(n) for each latent that fires (in groups: O(r log r) for the r rows of groups in which
    it fires). Memory: about 20 bytes for each number that is not zero.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> problem = ct.Problem([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0], [0.0, 0.0]])
    >>> drawn = ct.SurrogateLatents().draw_finding(np.eye(2), problem, np.random.default_rng(0))
    >>> np.sort(drawn.encode(problem.X), axis=0).tolist()
    [[0.0, 0.0], [0.0, 0.0], [1.0, 0.0], [3.0, 2.0]]
    """

    within: str | None = None
    method: Literal["permute", "shift"] = "permute"

    def __post_init__(self) -> None:
        one_of(self.method, "method", ("permute", "shift"))

    @property
    def _where(self) -> str:
        return f" within each {self.within}" if self.within else ""

    @property
    def inference(self) -> Inference:
        """Exact for permutations; a rank for shifts, which join the ends."""
        return "exact" if self.method == "permute" else "ensemble"

    @property
    def null(self) -> str:
        """The null hypothesis, as one sentence."""
        if self.method == "shift":
            return f"The score is no higher than where each latent's sequence{self._where} begins at a random row."
        return (
            f"Given how often and how strongly each latent fires{self._where}, every placement over the rows was "
            "equally probable, independently of other latents and whatever the labels."
        )

    @property
    def licenses(self) -> str:
        """What surviving this control licenses one to say, as one sentence."""
        return (
            f"The score needs latents to fire where they do, beyond how often and how strongly they fire{self._where}; "
            "for the best of many latents, more than the choice among so many gives by chance."
        )

    @property
    def preserves(self) -> tuple[Stated, ...]:
        """The decoder, rates and values; the order of values too, of shifts."""
        kept = (SameDecoder(), FiringCounts(self.within), LatentValues(self.within))
        return (*kept, LatentTurns(self.within)) if self.method == "shift" else kept

    @property
    def destroys(self) -> tuple[Stated, ...]:
        """On which rows latents fire."""
        return (LatentAlignment(self.within),)

    def check(self, problem: Problem) -> None:
        """Refuse groups in which nothing can move."""
        codes = problem.codes(self.within) if self.within else np.zeros(problem.n, dtype=np.int64)
        if np.bincount(codes).max() < 2:
            whole = f"each {self.within}" if self.within else "the problem"
            raise CannotControl(
                f"SurrogateLatents can only draw the identity: {whole} has one row; name a group of more rows, or none."
            )

    def caveats(self, problem: Problem, rng: np.random.Generator) -> tuple[str, ...]:
        """Return that rows of one unit are not independent, where units have several."""
        if self.method == "shift" or problem.n_units == problem.n:
            return ()
        return (
            f"the null lets latents fire on any rows{self._where}, while rows of one {problem.unit_name} may depend on "
            "one another, which can be why it is rejected; method='shift' keeps their order",
        )

    def draw_finding(self, finding: Any, problem: Problem, rng: np.random.Generator) -> Dictionary:
        """Return the dictionary whose latents are surrogates, on the rows of whatever problem it is asked about."""
        return Surrogate(as_dictionary(finding), self.within, self.method, int(rng.integers(2**63)))


@final
@dataclass(frozen=True, eq=False)
class Surrogate(Dictionary):
    """A dictionary of which each latent is placed on other rows of the problem that it is asked about."""

    found: Dictionary
    within: str | None
    method: str
    seed: int

    @property
    def reads(self) -> tuple[str, ...]:
        """The sites that the dictionary reads."""
        return self.found.reads

    @property
    def writes(self) -> tuple[str, ...]:
        """The sites that the dictionary writes."""
        return self.found.writes

    @property
    def decoder(self) -> np.ndarray:
        """The decoder, as it was."""
        return self.found.decoder

    @property
    def encoder(self) -> np.ndarray | None:
        """The encoder, as it was; what it reads is placed elsewhere."""
        return self.found.encoder

    @property
    def remarks(self) -> tuple[str, ...]:
        """What was said of how it was found."""
        return self.found.remarks

    def encode(self, activations: np.ndarray) -> np.ndarray:
        """Return surrogate latents of these rows, taken for all there are."""
        if self.within:
            raise InputError(
                f"surrogate latents within each {self.within} must be asked of a problem, which names the groups, got "
                "rows alone; use finding.latents(problem) or finding.blocks(problem) in the place of finding.encode."
            )
        latents = self.found.encode(activations)
        rows, columns = np.nonzero(latents)
        placed = np.zeros_like(latents)
        placed[self._places(rows, columns, np.zeros(len(latents), dtype=np.int64)), columns] = latents[rows, columns]
        return placed

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """Return the reconstruction of latents."""
        return self.found.decode(latents)

    def latents(self, problem: Problem) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield row indices and surrogate latents, in blocks."""
        placed = self._placed(problem)
        size = max(1, _NUMBERS // max(self.n_latents, 1))
        for start in range(0, problem.n, size):
            rows = np.arange(start, min(start + size, problem.n))
            yield rows, placed[start : start + size].toarray()

    def blocks(self, problem: Problem) -> Iterator[Block]:
        """Yield blocks of rows, with surrogate latents and what they reconstruct."""
        for rows, latents in self.latents(problem):
            yield Block(rows, latents, self.decode(latents), side_by_side(problem, self.writes, rows))

    def _placed(self, problem: Problem) -> Any:
        """Return all surrogate latents, CSR (n, m)."""
        from scipy import sparse

        found = []
        for rows, latents in self.found.latents(problem):
            at, columns = np.nonzero(latents)
            found.append((rows[at], columns, latents[at, columns]))
        rows, columns, values = (np.concatenate(part) for part in zip(*found, strict=True))
        codes = problem.codes(self.within) if self.within else np.zeros(problem.n, dtype=np.int64)
        places = self._places(rows, columns, codes)
        return sparse.csr_array((values, (places, columns)), shape=(problem.n, self.n_latents))

    def _places(self, rows: np.ndarray, columns: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Return the rows to which numbers go that are not zero, latent by latent."""
        rng, move = stream(self.seed, "surrogate latents"), {"permute": _permuted, "shift": _shifted}[self.method]
        groups = _Groups(codes)
        by_latent = np.argsort(columns, kind="stable")
        bounds = np.flatnonzero(np.diff(columns[by_latent], prepend=-1, append=-1))
        places = np.empty_like(rows)
        for start, stop in pairwise(bounds):
            one = by_latent[start:stop]
            places[one] = move(rows[one], groups, rng)
        return places


class _Groups:
    """Rows by group: ``order`` lists them, group after group, and ``place`` says where in it each row is."""

    def __init__(self, codes: np.ndarray) -> None:
        self.codes, self.order = codes, np.argsort(codes, kind="stable")
        self.sizes = np.bincount(codes)
        self.starts = np.cumsum(self.sizes) - self.sizes
        self.place = np.empty(len(codes), dtype=np.int64)
        self.place[self.order] = np.arange(len(codes))


def _permuted(rows: np.ndarray, groups: _Groups, rng: np.random.Generator) -> np.ndarray:
    """Return where rows go by a uniform permutation of each group; groups without any of them are left out."""
    if len(groups.sizes) == 1:
        return rng.choice(len(groups.codes), size=len(rows), replace=False)
    hit = np.zeros(len(groups.sizes), dtype=bool)
    hit[groups.codes[rows]] = True
    concerned = np.flatnonzero(hit[groups.codes[groups.order]])  # places in the order, group after group
    codes = groups.codes[groups.order[concerned]]
    moved = concerned[np.lexsort((rng.random(len(concerned)), codes))]
    return groups.order[moved[np.searchsorted(concerned, groups.place[rows])]]


def _shifted(rows: np.ndarray, groups: _Groups, rng: np.random.Generator) -> np.ndarray:
    """Return where rows go as each group turns by a uniform number of rows."""
    by, codes = rng.integers(groups.sizes), groups.codes[rows]
    start, size = groups.starts[codes], groups.sizes[codes]
    return groups.order[start + (groups.place[rows] - start + by[codes]) % size]
