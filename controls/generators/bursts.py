"""Controls on two-valued labels that fire in bursts, such as a sparse feature: the rate is kept, the place is not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from controls.core.control import Inference, LabelControl
from controls.core.drift import burst_caveats
from controls.core.errors import CannotControl, InputError
from controls.core.exactness import caveats_of
from controls.core.exchangeability import Free, Within, labels_of
from controls.core.orbit import Orbit
from controls.core.problem import Problem
from controls.core.properties import (
    LabelCounts,
    LabelSet,
    Property,
    SameActivations,
    SameGroups,
)
from controls.core.runs import BurstOrbit
from controls.core.sequence_properties import BurstLengths, ExpectedAlignment
from controls.core.sequences import sequence_codes


@final
@dataclass(frozen=True)
class RateMatchedLabels(LabelControl):
    """Keeps how often each group fires, and how long its bursts are; destroys where in the group they lie.

    For labels of two values, such as whether a sparse feature is active. The higher value fires (True,
    1, the later name). Rows of a group are in the order of the arrays.

    Parameters
    ----------
    within : str, optional
        The group whose members each keep their number of firings and their bursts, such as
        "document"; all rows as one sequence where None.
    bursts : bool
        Keep the length of each burst (run of firing rows). False: firing rows lie anywhere, which is
        ``ShuffleLabels(within=...)``.
    gaps : bool
        With ``bursts``: keep the lengths of the gaps between bursts as well. Bursts then trade places
        with bursts and gaps with gaps; the first and the last run of a group, which its ends cut off,
        stay where they are. Groups with fewer than two whole bursts or two whole gaps do not move.

    Raises
    ------
    CannotControl
        Every relabeling is the identity.
    InputError
        Labels of more than two values, or of one.

    Notes
    -----
    Null hypotheses, given the activations: bursts of given lengths may as well lie in any order and
    anywhere in their group, at least one row apart (``bursts``); bursts are exchangeable, and so are
    gaps, as in any alternating renewal process (``gaps``); rows are exchangeable (``bursts=False``).
    Draws are uniform over all arrangements that the null calls equally likely, the observed one
    included, so p-values are exact under it, also for processes that were cut off at the ends. The
    first null says that silence has no memory, as with geometric gaps; the library looks at whether
    gaps are more even or more uneven than that, and at drift, and withdraws the claim where they are.
    A draw costs O(n).

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> problem = ct.Problem(np.eye(8), [0, 1, 1, 0, 0, 0, 1, 0])
    >>> ct.RateMatchedLabels().draw(problem, np.random.default_rng(0)).labels.tolist()
    [0, 0, 1, 0, 1, 1, 0, 0]
    """

    within: str | None = None
    bursts: bool = True
    gaps: bool = False

    def __post_init__(self) -> None:
        if self.gaps and not self.bursts:
            raise InputError("gaps=True keeps the gaps between bursts and needs bursts=True, got bursts=False.")

    @property
    def _each(self) -> str:
        return f"each {self.within}" if self.within else "the sequence of all rows"

    @property
    def inference(self) -> Inference:
        """Exact under the null."""
        return "exact"

    @property
    def null(self) -> str:
        """The null hypothesis, as one sentence."""
        if not self.bursts:
            return f"Given the activations, the firing rows of {self._each} may as well be any other ones."
        if self.gaps:
            return (
                f"Given the activations, the bursts of {self._each} are exchangeable, and so are the gaps between "
                "them; its first and last run stay."
            )
        return f"Given the activations, the bursts of {self._each} may as well lie anywhere in it, in any order."

    @property
    def licenses(self) -> str:
        """What surviving this control licenses one to say, as one sentence."""
        beyond = " and in what bursts" if self.bursts else ""
        return (
            f"The activations carry information about where {self._each} fires, beyond how often{beyond}; "
            "not that the model learned it."
        )

    @property
    def preserves(self) -> tuple[Property, ...]:
        """The activations, the groups, the number of firings, and lengths of bursts and gaps where they are kept."""
        kept = (SameActivations(), SameGroups(), LabelSet(), LabelCounts(within=self.within))
        return (*kept, BurstLengths(self.within, self.gaps)) if self.bursts else kept

    @property
    def destroys(self) -> tuple[Property, ...]:
        """Which row fires."""
        return (ExpectedAlignment(self.within, self.bursts, self.gaps),)

    def orbit(self, problem: Problem) -> Orbit:
        """Return the distinct relabelings."""
        return problem.memo(("orbit", self), lambda: self._orbit(problem))

    def _orbit(self, problem: Problem) -> Orbit:
        if not self.bursts:
            return (Within(self.within) if self.within else Free()).orbit(problem)
        return BurstOrbit(labels_of(problem), sequence_codes(problem, self.within), self.gaps)

    def relabel(self, problem: Problem, rng: np.random.Generator) -> np.ndarray:
        """Return labels of shape (n,), uniform over all relabelings."""
        return self.orbit(problem).draw(rng)

    def check(self, problem: Problem) -> None:
        """Refuse labels that have not two values, and bursts that cannot move."""
        labels_of(problem)
        if len(problem.classes) > 2:
            raise InputError(
                f"labels must have two values for RateMatchedLabels, got {len(problem.classes)}; "
                "say which rows fire, such as activity > 0."
            )
        if self.orbit(problem).log_count < 1e-9:
            raise CannotControl(
                f"RateMatchedLabels can only draw the identity: nothing in {self._each} can move; "
                f"{'leave out gaps=True' if self.gaps else 'check the labels'}."
            )

    def caveats(self, problem: Problem, rng: np.random.Generator) -> tuple[str, ...]:
        """Return what in the labels contradicts the null, in words."""
        orbit = self.orbit(problem)
        if not self.bursts:
            return caveats_of(problem, orbit, rng, Within(self.within) if self.within else Free())
        return burst_caveats(problem, orbit, rng, within=self.within, gaps=self.gaps)
