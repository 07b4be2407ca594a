"""Controls that read something else than the activations: the same probe on the raw input, or on another site."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from controls.core.control import Control, Inference, Level
from controls.core.errors import CannotControl, InputError
from controls.core.problem import Problem
from controls.core.properties import Property, SameActivations, SameGroups, SameLabels
from controls.core.validate import as_activations, as_numpy


@final
@dataclass(frozen=True)
class InputBaseline(Control):
    """Keeps the labels, the groups and the folds; puts the raw input, or another site, in the activations' place.

    The same trainer is fitted there in the same folds, once, and the two scores are compared unit by
    unit. Only this control catches a probe that computes the answer itself from what the input shows.

    Parameters
    ----------
    site : str, optional
        A site of the problem, such as "layer 0" or "words", beside the one that is measured:
        ``problem.at("layer 3")`` and ``ct.sweep`` keep the others within reach. None: the inputs of
        the problem's source, where they are an array of numbers with one row per row; further
        dimensions are flattened.

    Raises
    ------
    InputError
        No source, or inputs that are not numbers, one row per row; an unknown site.
    CannotControl
        The site is the one that is measured.

    Notes
    -----
    Null hypothesis: unit by unit, it makes no difference to the score from which of the two it is
    read. Then what a unit adds to the one score may trade places with what it adds to the other, for
    any of the 2^G subsets of G units: all where they number at most ``draws + 1``, else ``draws``
    random ones. Given the fitted models, and for scores that are means over rows, the test is exact
    for units whose differences are independent and symmetric about zero. For others (AUC, R²) what a
    unit adds is known to first order, and a caveat says so. Scores that cannot be had without a unit
    (functions that return one number) are swapped by whole folds: five folds give no p under 1/32.
    Costs one evaluation, whatever the number of draws.

    Folds share training units. Where neither side reads anything, or both hardly do, their errors go
    together, which swaps cannot see: p is too small, with false alarms of .08 to .14 at alpha .05 (most
    for AUC and documents of unequal length), up to 2.8 times what is stated, and 95% intervals cover in
    .89 to .91. Where both sides read equally much and plainly, or there is a single split, they come as
    stated. So keep ``ShuffleLabels`` in the battery: beside an exact control on labels the verdict
    needs both p to be small (counted: .03 where neither reads, up to .08 where both read a little);
    without one, a caveat says so. The p of a sweep adjusted over sites is of swaps alone: read it beside
    that of the shuffle.

    The baseline has the trainer that it is given. That a richer one would read the labels from the
    input is not excluded; and codes, such as token ids, are no quantities: give a site that holds
    them one-hot, or embedded.

    References
    ----------
    Hewitt and Liang (2019), arXiv 1909.03368, on probes that learn the task themselves.
    Berger (1982), Multiparameter hypothesis testing and acceptance sampling, on nulls of several cases.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([0, 1], 60)
    >>> sites = {"input": rng.normal(size=(120, 3)), "layer 1": rng.normal(size=(120, 3)) + 2 * y[:, None]}
    >>> layer = ct.Problem(sites, y).at("layer 1")
    >>> result = ct.measure(ct.probes.RidgeProbe(), layer, controls=[ct.InputBaseline(site="input")])
    >>> result["InputBaseline"].inference, result["InputBaseline"].p_value
    ('paired', 0.005)
    """

    site: str | None = None

    def __post_init__(self) -> None:
        if self.site is not None and (not isinstance(self.site, str) or not self.site):
            raise InputError(f"site must be the name of a site, or None for the raw input, got {self.site!r}.")

    @property
    def level(self) -> Level:  # type: ignore[override]
        """Inputs, or activations where another site is named."""
        return "inputs" if self.site is None else "activations"

    @property
    def _other(self) -> str:
        return "the raw input" if self.site is None else f"site {self.site!r}"

    @property
    def inference(self) -> Inference:
        """One comparison, unit by unit."""
        return "paired"

    @property
    def null(self) -> str:
        """The null hypothesis, as one sentence."""
        return f"Unit by unit, it makes no difference whether the score is read from the activations or {self._other}."

    @property
    def licenses(self) -> str:
        """What surviving this control licenses one to say, as one sentence."""
        return (
            f"This trainer reads more about the labels from the activations than from {self._other}; not that a richer "
            "trainer would not, nor that the model uses it."
        )

    @property
    def preserves(self) -> tuple[Property, ...]:
        """The labels and the groups."""
        return (SameLabels(), SameGroups())

    @property
    def destroys(self) -> tuple[Property, ...]:
        """The activations."""
        return (SameActivations(),)

    def draw(self, problem: Problem, rng: np.random.Generator) -> Problem:
        """Return the problem on the raw input, or on the other site; nothing is random."""
        return problem.with_activations(self._array(problem))

    def _array(self, problem: Problem) -> np.ndarray:
        if self.site is not None:
            return problem.array_at(self.site)
        if problem.source is None:
            raise InputError(
                "InputBaseline() reads the inputs of the problem's source, but there is none; give "
                "source=ct.Source(model, inputs, extract), or name a site that holds them: InputBaseline(site=...)."
            )
        array = as_numpy(problem.source.inputs, "source.inputs")
        if array.ndim == 0 or len(array) != problem.n:
            raise InputError(
                f"source.inputs must have one row per row of activations ({problem.n}), got shape {array.shape}; "
                "give the input as a site and name it: InputBaseline(site=...)."
            )
        return as_activations(array.reshape(problem.n, -1), "source.inputs")

    def check(self, problem: Problem) -> None:
        """Refuse inputs that are no numbers, a site that is not there, and the site that is measured."""
        array = self._array(problem)
        if array is problem.X or (array.shape == problem.X.shape and np.array_equal(array, problem.X)):
            raise CannotControl(
                f"InputBaseline would compare {self._other} with itself; measure another site "
                "(in a sweep, leave it out of sites=)."
            )

    def integrity(self, problem: Problem, train: np.ndarray, test: np.ndarray) -> dict[str, float]:
        """Return how many features each side has."""
        return {"features": float(problem.d), f"features of {self._other}": float(self._array(problem).shape[1])}
