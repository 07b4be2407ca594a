"""Controls on activations: what the technique saw, with the links between its numbers cut and the rest kept."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar, final

import numpy as np

from controls.core.arrays import is_mapped, is_sparse
from controls.core.control import Control, Inference, Level
from controls.core.errors import CannotControl, InputError, InputTypeError
from controls.core.problem import Problem
from controls.core.properties import Property, SameGroups, SameLabels
from controls.core.sequences import rows_of_each
from controls.generators.activation_properties import (
    ActivationAlignment,
    CoordinateValues,
    InnerProducts,
    stratum_codes,
)
from controls.generators.moments import as_read, chunks, empty_like

T = TypeVar("T")


class ActivationControl(Control):
    """A control that draws the activations alone: labels and groups stay, and no model is asked again."""

    level: ClassVar[Level] = "activations"

    @property
    @abstractmethod
    def kept(self) -> tuple[Property, ...]:
        """What draws share with the activations, beside labels and groups."""

    @property
    def preserves(self) -> tuple[Property, ...]:
        """The labels, the groups, and what is kept of the activations."""
        return (SameLabels(), SameGroups(), *self.kept)

    @property
    def destroys(self) -> tuple[Property, ...]:
        """Which row has which activations."""
        return (ActivationAlignment(getattr(self, "within", None), getattr(self, "per_label", False)),)

    def empty(self, problem: Problem) -> np.ndarray:
        """Return the array (n, d) that is drawn into: of the activations' type, in a file where they are."""
        return empty_like(problem.X)

    @abstractmethod
    def fill(self, drawn: np.ndarray, problem: Problem, rng: np.random.Generator) -> None:
        """Write drawn activations into an array (n, d) of the activations' type."""

    def draw(self, problem: Problem, rng: np.random.Generator) -> Problem:
        """Return the problem with drawn activations; they have no source."""
        drawn = self.empty(problem)
        self.fill(drawn, problem, rng)
        arrays = {problem.sites[0]: drawn} if problem.sites else drawn
        return problem.with_activations(arrays).with_source(None)

    def check(self, problem: Problem) -> None:
        """Refuse sparse and constant activations, and strata in which nothing can change."""
        if is_sparse(problem.X):
            raise InputError(
                f"{self.name} needs dense activations, got a sparse matrix; for sparse counts or latents take "
                "ct.MatchSparsity, or give problem activations.toarray()."
            )
        within, per_label = getattr(self, "within", None), getattr(self, "per_label", False)
        if within is not None and not isinstance(within, str):
            raise InputTypeError(f"within must be the name of a group, got {type(within).__name__}.")
        if per_label and (problem.labels is None or problem.target == "continuous"):
            raise InputError(f"per_label needs labels that are classes, got {problem.target}; leave it out.")
        codes = stratum_codes(problem, within, per_label)
        if np.bincount(codes).max() < 2:
            raise CannotControl(
                f"{self.name} can only draw the activations as they are: no {_place(within, per_label)} has two rows."
            )
        if not vary(problem, codes):
            where = f"within each {_place(within, per_label)}" if within or per_label else "everywhere"
            raise CannotControl(f"{self.name} needs activations that vary, got the same row {where}.")

    def caveats(self, problem: Problem, rng: np.random.Generator) -> tuple[str, ...]:
        """Return that rows of a unit are taken as independent of one another, where units have several."""
        if self.inference != "exact" or problem.n_units == problem.n:
            return ()
        return (
            f"the null takes rows of one {problem.unit_name} as independent of one another, which neighbours seldom "
            "are; that they are alike, or drift along with labels, can be why it is rejected",
        )

    def null_rows(self, n: int, d: int, rng: np.random.Generator) -> np.ndarray | None:
        """Return rows (n, d) of which the null is true, whatever the strata; the kit tries an exact control on them."""
        return None


@final
@dataclass(frozen=True)
class ShuffleCoordinates(ActivationControl):
    """Keeps the values of every coordinate; destroys which of them stand in one row together.

    Each coordinate is permuted among the rows on its own. With ``per_label`` that happens among the rows
    of each class, so that what single coordinates say of the labels stays: does the probe use how they go
    together (Ojala and Garriga's second test)?

    Parameters
    ----------
    within : str, optional
        A group whose members keep their values, for example "document".
    per_label : bool
        Whether each class keeps its values, of labels that are classes.

    Raises
    ------
    InputError
        Sparse activations; an unknown group; ``per_label`` without classes.
    CannotControl
        No stratum has two rows; activations that are all the same.

    Notes
    -----
    Null hypothesis: coordinates are independent of one another, and rows of one another and of their labels
    (with ``per_label``: given their labels). Under it every arrangement of a coordinate's values is equally
    probable, so p is exact. Cost: O(n d) a draw, in chunks of columns where activations are memory-mapped.

    References
    ----------
    Ojala and Garriga (2010), Permutation Tests for Studying Classifier Performance, JMLR 11.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> problem = ct.Problem(np.arange(8.0).reshape(4, 2), [0, 0, 1, 1])
    >>> drawn = ct.ShuffleCoordinates(per_label=True).draw(problem, np.random.default_rng(1))
    >>> drawn.X.tolist()
    [[0.0, 1.0], [2.0, 3.0], [6.0, 5.0], [4.0, 7.0]]
    """

    within: str | None = None
    per_label: bool = False

    @property
    def inference(self) -> Inference:
        """Exact: arrangements are equally probable."""
        return "exact"

    @property
    def null(self) -> str:
        """The null hypothesis, as one sentence."""
        labels = "given their labels" if self.per_label else "and of their labels"
        where = f" within each {self.within}" if self.within else ""
        return f"Coordinates are independent of one another, and rows of one another, {labels}{where}."

    @property
    def licenses(self) -> str:
        """What surviving this control licenses one to say, as one sentence."""
        if self.per_label:
            return "The score uses how coordinates go together, beyond what each says of the labels on its own."
        return "The score needs coordinates in the combinations that rows have; not that the model learned them."

    @property
    def kept(self) -> tuple[Property, ...]:
        """The values of each coordinate."""
        return (CoordinateValues(self.within, self.per_label),)

    def null_rows(self, n: int, d: int, rng: np.random.Generator) -> np.ndarray:
        """Return rows of independent coordinates."""
        return rng.exponential(size=(n, d))

    def fill(self, drawn: np.ndarray, problem: Problem, rng: np.random.Generator) -> None:
        """Permute each coordinate among the rows of each stratum."""
        X, strata = problem.X, rows_of_each(stratum_codes(problem, self.within, self.per_label))
        for columns in chunks(np.arange(problem.d), problem.n):
            span = slice(int(columns[0]), int(columns[-1]) + 1)
            block = np.array(X[:, span], dtype=drawn.dtype)
            for rows in strata:
                block[rows] = rng.permuted(block[rows], axis=0)
            drawn[:, span] = block


@final
@dataclass(frozen=True)
class RotateActivations(ActivationControl):
    """Keeps the geometry of the rows, all inner products of them; destroys which directions are coordinates.

    All rows are turned by one random rotation or reflection (Haar). What survives needs the coordinates
    themselves: single neurons, sparse codes, thresholds at zero.

    Raises
    ------
    InputError
        Sparse activations.
    CannotControl
        One feature only; activations that are all the same.

    Notes
    -----
    Null hypothesis: the law of the activations, given the labels, is the same in every rotated basis. Under
    it observed and rotated activations are exchangeable, so p is exact. A trainer that does not see the
    basis (ridge or logistic regression with an L2 penalty on unscaled features, PCA, k nearest neighbours)
    scores the same on every draw, but for its rounding: then nothing was asked, and the report says so. Draws
    are float64, of memory-mapped activations float32, and scores of float32 activations that differ by less
    than 1e-5 count as ties. A coordinate a thousand times as large as the others is mixed into all of them, and
    takes their last digits with it in float32. Cost: O(d³ + n d²) a draw, in chunks of rows.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> problem = ct.Problem(np.diag([1.0, 2.0, 3.0]), [0, 1, 1])
    >>> drawn = ct.RotateActivations().draw(problem, np.random.default_rng(0)).X
    >>> np.allclose(drawn @ drawn.T, problem.X @ problem.X.T)
    True
    """

    @property
    def inference(self) -> Inference:
        """Exact: rotations are equally probable."""
        return "exact"

    @property
    def null(self) -> str:
        """The null hypothesis, as one sentence."""
        return "The law of the activations, given the labels, is the same in every rotated basis."

    @property
    def licenses(self) -> str:
        """What surviving this control licenses one to say, as one sentence."""
        return "The score needs these coordinates, rather than any others of the same space."

    @property
    def kept(self) -> tuple[Property, ...]:
        """The inner products of rows."""
        return (InnerProducts(),)

    def check(self, problem: Problem) -> None:
        """Refuse a single feature too, which can only change its sign."""
        super().check(problem)
        if problem.d < 2:
            raise CannotControl("RotateActivations needs at least two features, got one, which has no other basis.")

    def caveats(self, problem: Problem, rng: np.random.Generator) -> tuple[str, ...]:
        """Return none: rows stay together."""
        return ()

    def null_rows(self, n: int, d: int, rng: np.random.Generator) -> np.ndarray:
        """Return rows of any direction, of all lengths."""
        return rng.standard_normal((n, d)) * rng.exponential(size=(n, 1))

    def empty(self, problem: Problem) -> np.ndarray:
        """Return an array of float64, so that a turn loses no digits; of mapped activations, as they are."""
        return empty_like(problem.X) if is_mapped(problem.X) else np.empty((problem.n, problem.d))

    def fill(self, drawn: np.ndarray, problem: Problem, rng: np.random.Generator) -> None:
        """Turn every row by one rotation."""
        turn = random_rotation(problem.d, rng)
        for rows in chunks(np.arange(problem.n), problem.d):
            drawn[rows] = as_read(problem.X, rows) @ turn


def vary(problem: Problem, codes: np.ndarray) -> bool:
    """Whether rows of some stratum differ."""
    first = np.unique(codes, return_index=True)[1][codes]
    parts = chunks(np.arange(problem.n), problem.d)
    return any(bool((as_read(problem.X, part) != as_read(problem.X, first[part])).any()) for part in parts)


def of_activations(problem: Problem, key: Hashable, build: Callable[[], T]) -> T:
    """Return what ``build`` makes of a problem's activations, made once for as long as they are asked of."""
    held: list[Any] = problem.memo(("of activations", key), lambda: [None, None])
    if held[0] is not problem.X:
        held[:] = problem.X, build()
    return held[1]


def random_rotation(d: int, rng: np.random.Generator) -> np.ndarray:
    """Return a rotation or reflection of d dimensions, uniform over all (Haar), shape (d, d)."""
    from scipy.stats import ortho_group

    return np.asarray(ortho_group.rvs(d, random_state=rng))


def _place(within: str | None, per_label: bool) -> str:
    named = [*([within] if within else []), *(["class"] if per_label else [])]
    return " and ".join(named) if named else "problem"
