"""Surrogates of greatest entropy: activations that vary along positions, neurons and prompts, and no more."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import final

import numpy as np

from controls.core.control import Inference
from controls.core.errors import CannotControl, InputError
from controls.core.problem import Problem
from controls.core.properties import Association, Property
from controls.generators.activations import ActivationControl, of_activations
from controls.generators.moments import Moments, as_read, moments_of, sizes
from controls.generators.tensor_entropy import TensorLaw, additive_mean, fit_tensor_law

_NOTHING = 1e-12  # of all squares: what rounding leaves
_CLOSE = 1e-3  # relative error of an eigenvalue up to which the law is the one asked for


@final
@dataclass(frozen=True)
class MatchCovariances(ActivationControl):
    """Keeps the means of places and the covariances about them along positions, neurons and prompts; destroys all else.

    Rows are a table of prompts by positions. Each activation, in units of its neuron, is the sum of means of its
    prompt, position and neuron, and a rest. Draws come from the Gaussian law of greatest entropy of which the
    covariance of the rest between prompts, between positions and between neurons is that observed: what a technique
    finds in them, such as smooth trajectories, low dimension or clusters of prompts, follows from these
    simpler features alone.

    Parameters
    ----------
    over : pair of str
        The two groups of which rows are the table: every pair of members has one row.

    Raises
    ------
    InputError
        Sparse activations; an unknown group; rows that are no whole table of the two groups.
    CannotControl
        Activations that are all the same.

    Notes
    -----
    Null hypothesis: activations come from that Gaussian law. Draws are an ensemble of it. Means and
    covariances are kept in expectation; a draw has them up to chance. Negative activations are drawn too.
    Every draw proves itself by the largest relative error of an eigenvalue that the law has, and by the mean
    square of the draw in units in which it is 1 in expectation.

    Cost: the law is found once, some hundred steps of O(n d) after O(n d (P + T + d)) for P prompts and T
    positions; a draw costs the latter. Memory: several arrays of float64 of the activations' size.

    References
    ----------
    Elsayed and Cunningham (2017), Structure in neural population recordings: an expected byproduct of simpler
    phenomena?, Nature Neuroscience 20.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> X = np.random.default_rng(0).standard_normal((6 * 5, 4)).cumsum(axis=0)
    >>> groups = {"sequence": np.repeat(np.arange(6), 5), "position": np.tile(np.arange(5), 6)}
    >>> drawn = ct.MatchCovariances().draw(ct.Problem(X, groups=groups), np.random.default_rng(1))
    >>> drawn.proof["largest error of an eigenvalue"] < 1e-6
    True
    """

    over: tuple[str, str] = ("sequence", "position")

    def __post_init__(self) -> None:
        names = tuple(self.over) if isinstance(self.over, (tuple, list)) else ()
        if len(names) != 2 or names[0] == names[1] or not all(isinstance(name, str) for name in names):
            raise InputError(f"over must name two groups, such as ('sequence', 'position'), got {self.over!r}.")
        object.__setattr__(self, "over", names)

    @property
    def inference(self) -> Inference:
        """A rank among an ensemble."""
        return "ensemble"

    @property
    def null(self) -> str:
        """The null hypothesis, as one sentence."""
        return (
            f"Activations come from the Gaussian law of greatest entropy with their means of {self.over[0]}s, "
            f"{self.over[1]}s and neurons and the covariances about them, whatever the labels."
        )

    @property
    def licenses(self) -> str:
        """What surviving this control licenses one to say, as one sentence."""
        return f"The score needs more than how activations vary along {self.over[0]}s, {self.over[1]}s and neurons."

    @property
    def kept(self) -> tuple[Property, ...]:
        """The covariances along each side."""
        return (SideCovariances(self.over),)

    @property
    def destroys(self) -> tuple[Property, ...]:
        """What each place of the table has beyond the means."""
        return (PlaceAlignment(self.over),)

    def check(self, problem: Problem) -> None:
        """Refuse rows that are no table."""
        super().check(problem)
        table = _table(problem, self.over)
        if np.square(table - additive_mean(table)).sum() <= _NOTHING * np.square(table).sum():
            raise CannotControl(
                f"MatchCovariances needs activations that are more than the sum of means of {self.over[0]}s, "
                f"{self.over[1]}s and neurons, got ones that are just that."
            )

    def draw(self, problem: Problem, rng: np.random.Generator) -> Problem:
        """Return the problem with drawn activations, and the figures that prove them."""
        drawn = super().draw(problem, rng)
        law = law_of(problem, self.over)
        size = float(np.square(law.whitened(_table(drawn, self.over, problem))).mean())
        return drawn.proved({"largest error of an eigenvalue": law.error, "mean square, 1 expected": size})

    def fill(self, drawn: np.ndarray, problem: Problem, rng: np.random.Generator) -> None:
        """Write a draw of the table."""
        mean, size = _scale(problem)
        drawn[places(problem, self.over)] = law_of(problem, self.over).sample(rng) * size + mean


@final
@dataclass(frozen=True)
class SideCovariances(Property):
    """The means of places, and the covariances along three sides, as those of the law that a draw is from."""

    over: tuple[str, str]

    @property
    def words(self) -> str:
        """The property in words."""
        return f"the means of {self.over[0]}s, {self.over[1]}s and neurons, and covariances about them, in expectation"

    def holds(self, before: Problem, after: Problem) -> bool:
        """Whether the law has the spectra asked for, and the draw the size of one, to six standard errors."""
        law = law_of(before, self.over)
        squares = np.square(law.whitened(_table(after, self.over, before)))
        return law.error < _CLOSE and bool(abs(squares.mean() - 1) < 6 * np.sqrt(2 / squares.size))


@final
@dataclass(frozen=True)
class PlaceAlignment(Association):
    """What each place of the table has beyond the means of its row, its column and the neuron: the correlation."""

    over: tuple[str, str]

    @property
    def words(self) -> str:
        """The property in words."""
        return f"what each {self.over[0]} has at each {self.over[1]}, beyond the means of either"

    def strength(self, before: Problem, after: Problem) -> float:
        """Return the correlation, in units in which the law is standard normal."""
        law = law_of(before, self.over)
        old, new = (law.whitened(_table(problem, self.over, before)) for problem in (before, after))
        return float((old * new).sum() / np.sqrt(np.square(old).sum() * np.square(new).sum()))


def places(problem: Problem, over: tuple[str, str]) -> np.ndarray:
    """Return the row at each place of the table, shape (P, T)."""
    first, second = (problem.codes(name) for name in over)
    shape = int(first.max()) + 1, int(second.max()) + 1
    table = np.full(shape, -1)
    table[first, second] = np.arange(problem.n)
    if problem.n != table.size or (table < 0).any():
        raise InputError(
            f"over={over!r} must make a whole table: one row for each of {shape[0]} {over[0]}s at each of {shape[1]} "
            f"{over[1]}s, {table.size} rows, got {problem.n}; keep the rows whose {over[1]} every {over[0]} has."
        )
    return table


def law_of(problem: Problem, over: tuple[str, str]) -> TensorLaw:
    """Return the law of the problem's table, found once."""
    return of_activations(problem, ("tensor law", over), partial(_law, problem, over))


def _law(problem: Problem, over: tuple[str, str]) -> TensorLaw:
    return fit_tensor_law(_table(problem, over))


def _scale(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of each neuron (1 where it is constant)."""
    moments: Moments = of_activations(problem, "moments", partial(moments_of, problem.X, np.arange(problem.n)))
    return moments.mean, sizes(moments.scatter / moments.count)


def _table(problem: Problem, over: tuple[str, str], of: Problem | None = None) -> np.ndarray:
    """Return the activations as a table, neurons in units of their standard deviation in a problem: their own."""
    rows, (mean, size) = places(problem, over), _scale(of or problem)
    return ((as_read(problem.X, rows.ravel()) - mean) / size).reshape(*rows.shape, problem.d)
