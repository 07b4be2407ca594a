"""MatchSparsity: sparse activations with the same rates and sizes, in which features fire together by chance only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, final

import numpy as np

from controls.core.control import Control, Inference, Level
from controls.core.errors import CannotControl, InputError
from controls.core.problem import Problem
from controls.core.properties import Property, SameGroups, SameLabels
from controls.core.validate import one_of, random_generator, whole_number
from controls.generators import patterns
from controls.generators.margins import expected_overlap, laws_of
from controls.generators.patterns import NonZeros, Strata
from controls.generators.sparsity_properties import Cofiring, ColumnCounts, Fill, Magnitudes, RowCounts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PATTERNS = {"fill": patterns.drawn_fill, "rows": patterns.drawn_rows, "columns": patterns.drawn_columns}
_DEFAULT = {"fill": "all", "rows": "row", "columns": "column", "both": "column"}
_FITTING = {
    "fill": ("all",),
    "rows": ("row", "all"),
    "columns": ("column", "all"),
    "both": ("column", "row", "all"),
}
_KEPT = {
    "fill": "how many non-zeros there are",
    "rows": "how many features fire in each row",
    "columns": "how often each feature fires",
    "both": "how many features fire in each row and how often each feature fires",
}
OVERLAP, HALF_WAY = "non-zeros shared with the start", "non-zeros shared half-way"


@final
@dataclass(frozen=True)
class MatchSparsity(Control):
    """Keeps how much fires, and destroys what fires together.

    Activations are non-negative and mostly zero, such as latents of an SAE (tokens × latents): dense or CSR,
    and drawn in the form given. What is kept makes a ladder of nulls, from weak to strong.

    Parameters
    ----------
    keep : {"fill", "rows", "columns", "both"}
        How many non-zeros there are; in each row (L0 of a token); in each column (firing rate of a feature); or
        both in each row and in each column, by trades between rows (curveball; one sweep trades all rows in
        random pairs).
    within : str, optional
        A group such as "document", each member of which is drawn as a matrix of its own: what is kept of
        columns, and of magnitudes, is kept in each.
    magnitudes : {"column", "row", "all"}, optional
        Among which non-zeros values are permuted: of one feature, one row, or all. It needs margins that stay:
        "column" those of columns, "row" those of rows. The default is the finest of column, row and all that
        ``keep`` allows.
    sweeps : int
        Of ``keep="both"``. A sweep about halves what a draw still shares with its start beyond chance.
    margins : {"exact", "expected"}
        "expected": non-zeros are independent, with the margins as expectations (greatest entropy), and
        values drawn with repetition: an ensemble, without a chain.

    Raises
    ------
    InputError
        Negative activations; an unknown group; magnitudes that do not fit what is kept.
    CannotControl
        Margins that admit one pattern only.

    Notes
    -----
    Null hypothesis: given what is kept, every placement of the non-zeros and of their magnitudes was equally
    probable, whatever the labels. Rows that are alike because they follow one another break it:
    ``within="document"`` keeps what changes from document to document.

    p is exact for ``margins="exact"``, also for ``keep="both"`` where the chain has not mixed: ``start`` goes the
    sweeps back from the data to a hub, from which every draw goes as many sweeps forward (Besag and Clifford's
    parallel scheme; the chain is its own reversal). Too few sweeps cost power only, and are said.

    Cost of a draw: O(nnz) for each sweep, about 0.16 s for 5 million non-zeros on one core; memory of about two
    more such matrices. The first draw compiles, for some seconds; the result is kept on disk where that is allowed.
    ``margins="expected"``: one solution for classes of equal margins, then O(nnz + row classes × columns).

    References
    ----------
    Strona et al. (2014) and Carstens et al. (2018) for trades; Besag and Clifford (1989) for the scheme.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> latents = np.array([[2.0, 0, 1, 0], [0, 3, 0, 1], [4, 0, 0, 5], [0, 0, 6, 0]])
    >>> drawn = ct.MatchSparsity(keep="both").draw(ct.Problem(latents), np.random.default_rng(0))
    >>> (drawn.X > 0).sum(axis=0).tolist(), (drawn.X > 0).sum(axis=1).tolist()
    ([2, 1, 2, 2], [2, 2, 2, 1])
    """

    keep: Literal["fill", "rows", "columns", "both"] = "both"
    within: str | None = None
    magnitudes: Literal["column", "row", "all"] | None = None
    sweeps: int = 20
    margins: Literal["exact", "expected"] = "exact"

    level: ClassVar[Level] = "activations"

    def __post_init__(self) -> None:
        one_of(self.keep, "keep", tuple(_FITTING))
        one_of(self.margins, "margins", ("exact", "expected"))
        whole_number(self.sweeps, "sweeps", low=1)
        if self.magnitudes is None:
            return
        one_of(self.magnitudes, "magnitudes", ("column", "row", "all"))
        if self.magnitudes not in _FITTING[self.keep]:
            allowed = " or ".join(map(repr, _FITTING[self.keep]))
            raise InputError(
                f"magnitudes must be {allowed} for keep={self.keep!r}, which keeps no number of non-zeros for each "
                f"{self.magnitudes}, got {self.magnitudes!r}."
            )

    @property
    def _per(self) -> str:
        return self.magnitudes or _DEFAULT[self.keep]

    @property
    def _kept(self) -> str:
        """What is kept, in words."""
        where = f" within each {self.within}" if self.within else ""
        return _KEPT[self.keep] + where + (" on average" if self.margins == "expected" else "")

    @property
    def inference(self) -> Inference:
        """Exact where margins are; else a rank among matrices with such margins on average."""
        return "exact" if self.margins == "exact" else "ensemble"

    @property
    def null(self) -> str:
        """The null hypothesis, as one sentence."""
        if self.margins == "expected":
            return f"The score is no higher than on independent non-zeros that keep {self._kept}."
        return (
            f"Given {self._kept}, and the magnitudes, every placement of the non-zeros was equally probable, "
            "whatever the labels."
        )

    @property
    def licenses(self) -> str:
        """What surviving this control licenses one to say, as one sentence."""
        return (
            f"The score needs features to fire where they do, and together, beyond {self._kept}; not that the model "
            "uses it, and if training has made those numbers, they may be part of what was learned."
        )

    @property
    def preserves(self) -> tuple[Property, ...]:
        """The labels, the groups, the margins and the magnitudes."""
        same = (SameLabels(), SameGroups())
        if self.margins == "expected":
            return same
        counted: dict[str, tuple[Property, ...]] = {
            "fill": (Fill(self.within),),
            "rows": (RowCounts(),),
            "columns": (ColumnCounts(self.within),),
            "both": (RowCounts(), ColumnCounts(self.within)),
        }
        return (*same, *counted[self.keep], Magnitudes(self._per, None if self._per == "row" else self.within))

    @property
    def destroys(self) -> tuple[Property, ...]:
        """Which features fire together."""
        return (Cofiring(self.within),)

    def check(self, problem: Problem) -> None:
        """Refuse negative activations, and margins that admit one pattern only."""
        strata = patterns.strata_of(problem, self.within)
        old = patterns.non_zeros(problem.X)
        if len(old.values) and old.values.min() < 0:
            raise InputError(
                f"activations must be non-negative for MatchSparsity, which counts what fires, got "
                f"{int((old.values < 0).sum())} negative values; take latents after their ReLU."
            )
        if self.margins == "exact" and not any(_can_change(old, rows, self.keep) for rows in strata.rows):
            raise CannotControl(
                f"MatchSparsity(keep={self.keep!r}) can only draw the pattern that there is, since no other one keeps "
                f"{self._kept} (n = {old.n}, d = {old.d}, {len(old.indices)} non-zeros); keep less, or take "
                "ct.ShuffleCoordinates where everything fires."
            )

    def caveats(self, problem: Problem, rng: np.random.Generator) -> tuple[str, ...]:
        """Return that rows of all units trade places, where units have several and are not kept apart."""
        if self.margins == "expected" or self.within or problem.n_units == problem.n:
            return ()
        return (
            f"the null lets rows of different {problem.unit_name}s trade what fires; that rows of one are alike can be "
            f"why it is rejected, which within={problem.unit_name!r} keeps",
        )

    def start(self, problem: Problem, rng: np.random.Generator) -> Problem:
        """Return the hub, as many sweeps back as draws go forward; the problem where there is no chain."""
        if self.keep != "both" or self.margins == "expected":
            return problem
        return self._drawn(problem, rng)[0]

    def draw(self, problem: Problem, rng: np.random.Generator) -> Problem:
        """Return the problem with non-zeros drawn anew; ``keep="both"`` goes its sweeps on from this one."""
        drawn, proof = self._drawn(problem, rng)
        return drawn.proved(proof)

    def _drawn(self, problem: Problem, rng: np.random.Generator) -> tuple[Problem, dict[str, float]]:
        old, strata = patterns.non_zeros(problem.X), patterns.strata_of(problem, self.within)
        proof = {
            "rows without non-zeros": float((old.per_row == 0).sum()),
            "columns without non-zeros": float(old.d - len(np.unique(old.indices))),
        }
        if self.margins == "expected":
            pattern = self._expected(old, strata, rng)
            values = patterns.resampled_values(old, pattern, strata, self._per, rng)
        else:
            shared: dict[int, float] = {}
            if self.keep == "both":
                chain = _Chain(old, strata, rng)
                shared = {done: chain.go(done) for done in (self.sweeps // 2, self.sweeps)}
                proof |= {HALF_WAY: shared[self.sweeps // 2], OVERLAP: shared[self.sweeps]}
                pattern = chain.pattern
            else:
                pattern = _PATTERNS[self.keep](old, strata, rng)
            values = patterns.shuffled_values(old, pattern, strata, self._per, rng)
        activations = patterns.as_activations(problem.X, NonZeros(*pattern, values, old.d))
        arrays = {problem.sites[0]: activations} if problem.sites else activations
        return problem.with_activations(arrays).with_source(None), proof

    def _expected(self, old: NonZeros, strata: Strata, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        parts = [law.draw(rng) for law in laws_of(old, strata, self.keep)]
        return patterns.put_together(strata.rows, parts)

    def mixing(self, problem: Problem, rng: np.random.Generator, sweeps: int = 60) -> Mixing:
        """Return how much one chain still shares with the problem after every sweep.

        Parameters
        ----------
        problem : Problem
        rng : numpy.random.Generator
        sweeps : int
            How many to look at.

        Returns
        -------
        Mixing
        """
        if self.keep != "both" or self.margins == "expected":
            raise InputError(
                'mixing needs keep="both" and margins="exact", which alone go in sweeps; draws of others need none.'
            )
        random_generator(rng)
        whole_number(sweeps, "sweeps", low=1)
        self.check(problem)
        old, strata = patterns.non_zeros(problem.X), patterns.strata_of(problem, self.within)
        chain = _Chain(old, strata, rng)
        shared = np.array([chain.go(done) for done in range(sweeps + 1)])
        expected = expected_overlap(old, strata, "both") / len(old.indices)
        return Mixing(np.arange(sweeps + 1), shared, expected, self.sweeps)


class _Chain:
    """A chain of sweeps over rows, of which each trades with one other of its stratum; the state changes in place."""

    def __init__(self, old: NonZeros, strata: Strata, rng: np.random.Generator) -> None:
        self.old, self.strata, self.rng = old, strata, rng
        self.indptr, self.indices = np.array(old.indptr), np.array(old.indices)
        sizes = np.diff(strata.bounds)
        self._stratum = np.repeat(np.arange(len(sizes)), sizes)
        places = np.arange(old.n)
        lefts = np.repeat(strata.bounds[1:], sizes) - places  # how many of the stratum are left, from a place on
        self._firsts = places[((places - np.repeat(strata.bounds[:-1], sizes)) % 2 == 0) & (lefts > 1)]
        self.done = 0

    @property
    def pattern(self) -> tuple[np.ndarray, np.ndarray]:
        """Where the chain is."""
        return self.indptr, self.indices

    def go(self, done: int) -> float:
        """Go on until so many sweeps are done; return the share of non-zeros that are where they were at the start."""
        from controls.generators._trade_kernels import overlap, trade_pairs

        while self.done < done:
            order = (
                self.strata.order[self.rng.permutation(self.old.n)] if len(self.strata.bounds) == 2 else self._mixed()
            )
            seeds = patterns.seeds_for(len(self._firsts), self.rng)
            trade_pairs(self.indptr, self.indices, order, self._firsts, seeds)
            self.done += 1
        return overlap(self.indptr, self.indices, self.old.indices) / len(self.indices)

    def _mixed(self) -> np.ndarray:
        """Return the rows in random order within their strata."""
        order = self.rng.permutation(self.old.n)
        return self.strata.order[order[np.argsort(self._stratum[order], kind="stable")]]


@final
@dataclass(frozen=True, eq=False)
class Mixing:
    """How much a chain of sweeps still shares with its start.

    Parameters
    ----------
    sweeps : array of shape (k,)
    overlap : array of shape (k,)
        Share of the non-zeros that are where they were.
    expected : float
        What two independent patterns with such margins share, from the law of greatest entropy: the plateau,
        up to terms that vanish as matrices grow.
    of_control : int
        The control's own number of sweeps.
    """

    sweeps: np.ndarray
    overlap: np.ndarray
    expected: float
    of_control: int

    def plot(self) -> Figure:
        """Return a figure of the overlap against sweeps, the plateau and the control's number of sweeps."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6, 3.5), layout="constrained")
        axes = figure.subplots()
        axes.plot(self.sweeps, self.overlap, marker=".")
        axes.axhline(self.expected, color="0.5", linestyle="--", label="expected of independent patterns")
        axes.axvline(self.of_control, color="C3", linestyle=":", label=f"sweeps={self.of_control}")
        axes.set(xlabel="sweeps", ylabel="non-zeros shared with the start", ylim=(0, 1.02))
        axes.legend(frameon=False)
        return figure


def _can_change(old: NonZeros, rows: np.ndarray, keep: str) -> bool:
    """Whether other patterns of these rows have the same margins.

    With both margins there is one pattern only where rows are nested in one another: then, and only
    then, sorted column counts are the conjugate of the row counts (Gale and Ryser).
    """
    sizes = old.per_row[rows]
    if keep == "fill":
        return 0 < sizes.sum() < len(rows) * old.d
    if keep == "rows":
        return bool(((sizes > 0) & (sizes < old.d)).any())
    counts = np.unique(old.columns_of(rows), return_counts=True)[1]
    if keep == "columns":
        return bool((counts < len(rows)).any())
    conjugate = len(rows) - np.searchsorted(np.sort(sizes), np.arange(1, len(counts) + 1), side="left")
    return not np.array_equal(np.sort(counts)[::-1], conjugate)
