"""Controls that keep labels in order: circular shifts of label sequences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from controls.core.control import IndexControl, Inference
from controls.core.drift import drift_caveats
from controls.core.errors import CannotControl
from controls.core.orbit import IndexOrbit
from controls.core.problem import Problem
from controls.core.properties import (
    LabelCounts,
    LabelSet,
    Property,
    RestrictedAlignment,
    SameActivations,
    SameGroups,
)
from controls.core.sequence_properties import Turns
from controls.core.sequences import Shift

_KEPT = (SameActivations(), SameGroups(), LabelSet())


@final
@dataclass(frozen=True)
class ShiftLabels(IndexControl):
    """Keeps each group's label sequence, turned round in a circle; destroys where in the group it begins.

    Parameters
    ----------
    within : str, optional
        Turn the labels of each member of this group by a number of rows of its own; all rows as one
        sequence where None. Rows are in the order of the arrays.

    Raises
    ------
    CannotControl
        Every turn is the identity: labels are constant in each group.

    Notes
    -----
    Null hypothesis: given the activations, the label sequence of each group is as likely to begin at
    any of its places, and goes on round its end. Draws are uniform over all turns, none included,
    so p-values are exact under it; a turn by no rows at all is never refused. Labels of one group
    have as many distinct turns as rows at most, so one group of n rows gives no p under 1/n.

    The null is a strong one: the two ends must join, so that a stationary sequence satisfies it up
    to one seam a group, and labels that drift do not. With labels and activations that drift, shifts
    give false alarms, in up to all cases (Harris 2020); the library looks at whether labels drift
    along the sequence and withdraws the claim where they do. It cannot see a drift that is slower
    than the groups are long and has a direction of its own in few groups: where groups are many,
    ``ShuffleLabels(whole=..., blocks=True)`` assumes less. A draw costs O(n).

    References
    ----------
    Harris (2020), Nonsense correlations in neuroscience, bioRxiv 2020.11.29.402719.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> problem = ct.Problem(np.eye(5), [0, 1, 1, 0, 0])
    >>> ct.ShiftLabels().draw(problem, np.random.default_rng(0)).labels.tolist()
    [1, 1, 0, 0, 0]
    """

    within: str | None = None

    @property
    def restriction(self) -> Shift:
        """What may be exchanged with what."""
        return Shift(self.within)

    @property
    def _each(self) -> str:
        return f"each {self.within}" if self.within else "all rows"

    @property
    def inference(self) -> Inference:
        """Exact under the null."""
        return "exact"

    @property
    def null(self) -> str:
        """The null hypothesis, as one sentence."""
        return (
            f"Given the activations, the label sequence of {self._each} may as well begin at any of its rows "
            "and go on round its end."
        )

    @property
    def licenses(self) -> str:
        """What surviving this control licenses one to say, as one sentence."""
        return (
            f"The activations carry information about where in {self._each} the labels are, beyond how often and in "
            "what order they occur; not that the model learned it."
        )

    @property
    def preserves(self) -> tuple[Property, ...]:
        """The activations, the groups, label counts, and each sequence up to where it begins."""
        return (*_KEPT, LabelCounts(within=self.within), Turns(self.within))

    @property
    def destroys(self) -> tuple[Property, ...]:
        """Which row of a sequence has which label."""
        return (RestrictedAlignment(self.restriction),)

    def orbit(self, problem: Problem) -> IndexOrbit:
        """Return the distinct relabelings."""
        return problem.memo(("orbit", self), lambda: self.restriction.orbit(problem))

    def order(self, problem: Problem, rng: np.random.Generator) -> np.ndarray:
        """Return row indices of shape (n,), uniform over all turns."""
        return self.orbit(problem).order(rng)

    def check(self, problem: Problem) -> None:
        """Refuse labels that no turn changes."""
        if self.orbit(problem).log_count < 1e-9:
            raise CannotControl(f"ShiftLabels can only draw the identity: no turn of {self._each} changes a label.")

    def caveats(self, problem: Problem, rng: np.random.Generator) -> tuple[str, ...]:
        """Return how labels drift along the sequences, in words."""
        return drift_caveats(problem, self.restriction, rng)
