"""Controls that rearrange the labels: shuffles of rows and of groups, and flips of signs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from controls.core.control import IndexControl, Inference, LabelControl
from controls.core.drift import bin_caveats
from controls.core.errors import CannotControl, InputError
from controls.core.exactness import caveats_of
from controls.core.exchangeability import Free, IndexExchangeability, SignFlip, Whole, Within
from controls.core.orbit import IndexOrbit, SignOrbit
from controls.core.problem import Problem
from controls.core.properties import (
    LabelAlignment,
    LabelCounts,
    LabelCountsWhere,
    LabelSet,
    LabelSizes,
    Property,
    RestrictedAlignment,
    SameActivations,
    SameGroups,
    SequenceAlignment,
    Sequences,
    SignAlignment,
    Ties,
)
from controls.core.strata import Given, as_columns

_KEPT = (SameActivations(), SameGroups())


@final
@dataclass(frozen=True)
class ShuffleLabels(IndexControl):
    """Keeps the activations and how often each label occurs; destroys which row has which label.

    Parameters
    ----------
    within : str, optional
        Shuffle rows within each member of this group only (or, with ``whole``, whole groups within
        each member of it).
    whole : str, optional
        Permute the labels of whole groups. Labels must be constant within each; sizes may differ.
    blocks : bool
        With ``whole``: exchange whole label sequences among groups of equal length, for labels that
        vary within groups and depend on one another there.
    given : str or tuple of str, optional
        Nuisance columns (position, token, length), named among the groups: labels move only among
        rows that agree in all of them, and in ``within`` where that is named too.
    bins : int, optional
        With ``given``: numbers that take more than ``bins`` values are cut at their quantiles in so
        many bins. None: fractional numbers in ten; whole numbers, which may be names such as token
        ids, stay as they are, and so do texts.
    exchangeability : IndexExchangeability, optional
        Any other group of rearrangements, such as ``controls.core.exchangeability.Nested``.

    Raises
    ------
    CannotControl
        Every rearrangement is the identity (one group only, or labels constant within all of them).
    InputError
        An unknown group; labels that vary within a group shuffled whole without ``blocks``.

    Notes
    -----
    Null hypothesis: given the activations, labels are exchangeable among the rows (or groups) named.
    Draws are uniform over all rearrangements, the identity included, so p-values are exact under it
    (Hemerik and Goeman 2018). Where a unit is named, the control names a group, or folds are given as
    rows, the library looks at whether labels are serially dependent, clustered, or tied to group
    sizes or to those folds in a way that contradicts the null, and if so withdraws the claim.
    With ``given`` the null speaks of rows in one bin. That labels are independent of the activations
    given the number itself follows only as far as bins are fine; the library looks at whether labels
    go with it inside the bins, and withdraws the claim where they do. The integrity figures say how
    many rows can move. A draw costs O(n log n) time and O(n) memory.

    References
    ----------
    Winkler et al. (2015), Multi-level block permutation, NeuroImage 123.
    Phipson and Smyth (2010), Permutation p-values should never be zero.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> problem = ct.Problem(np.eye(4), [0, 1, 0, 1], groups={"document": [0, 0, 1, 1]}, unit="document")
    >>> drawn = ct.ShuffleLabels(within="document").draw(problem, np.random.default_rng(0))
    >>> sorted(drawn.labels[:2].tolist()), sorted(drawn.labels[2:].tolist())
    ([0, 1], [0, 1])
    >>> ct.ShuffleLabels(within="document", given=("word", "position"), bins=5).null
    'Given the activations, the labels of rows that agree in word and position (numbers in 5 bins) within ...
    """

    within: str | None = None
    whole: str | None = None
    blocks: bool = False
    exchangeability: IndexExchangeability | None = None
    given: str | tuple[str, ...] | None = None
    bins: int | None = None

    def __post_init__(self) -> None:
        self._check_given()
        if self.exchangeability is not None and (self.within or self.whole or self.blocks):
            raise InputError("exchangeability replaces within=, whole= and blocks=, got both; give it alone.")
        if self.blocks and self.whole is None:
            raise InputError("blocks=True exchanges whole label sequences and needs whole=, got None; name the group.")
        if self.whole is not None and self.whole == self.within:
            raise InputError(f"whole= and within= must be different groups, got {self.whole!r} twice.")

    def _check_given(self) -> None:
        if self.given is None:
            if self.bins is not None:
                raise InputError(f"bins= cuts the columns of given=, got bins={self.bins!r} alone; name the columns.")
            return
        if self.whole is not None or self.blocks or self.exchangeability is not None:
            raise InputError(
                "given= moves labels of single rows and goes with within= alone, got whole=, blocks= or "
                "exchangeability= too; for whole groups, give the nuisance as a group column and name it in within=."
            )
        names = as_columns(self.given)
        object.__setattr__(self, "given", names[0] if len(names) == 1 else names)
        self.restriction  # noqa: B018 - refuses bins, and a column named twice

    @property
    def restriction(self) -> IndexExchangeability:
        """What may be exchanged with what."""
        if self.given is not None:
            return Given(as_columns(self.given), self.within, self.bins)
        if self.exchangeability is not None:
            return self.exchangeability
        if self.whole is not None:
            return Whole(self.whole, within=self.within, blocks=self.blocks)
        return Free() if self.within is None else Within(self.within)

    @property
    def inference(self) -> Inference:
        """Exact under the null."""
        return "exact"

    @property
    def null(self) -> str:
        """The null hypothesis, as one sentence."""
        return f"Given the activations, the {self.restriction.words} are exchangeable."

    @property
    def licenses(self) -> str:
        """What surviving this control licenses one to say, as one sentence."""
        known = ([self.within] if self.within else []) + ([*as_columns(self.given)] if self.given else [])
        beyond = f" beyond what the {' and '.join(known)} tells" if known else ""
        beyond += ", as far as its bins are fine" if self.given else ""
        return (
            f"The activations carry information about the labels{beyond}; not that the model learned it, "
            "nor that it is more than word identity or any other property that goes with the labels."
        )

    @property
    def preserves(self) -> tuple[Property, ...]:
        """The activations, the groups, and the label counts (or sequences) that the restriction keeps."""
        kept: tuple[Property, ...] = (*_KEPT, LabelSet())
        match self.restriction:
            case Whole(group, blocks=True):
                return (*kept, LabelCounts(), Sequences(group))
            case Whole(group, within=within):
                kept = (*kept, LabelCounts(per=group), Ties(group))
                return (*kept, LabelCounts(within=within, per=group)) if within else kept
            case Within(group):
                return (*kept, LabelCounts(), LabelCounts(within=group))
            case Given() as given:
                return (*kept, LabelCounts(), LabelCountsWhere(given))
        return (*kept, LabelCounts())

    @property
    def destroys(self) -> tuple[Property, ...]:
        """Which row (or group) has which label."""
        if self.exchangeability is not None or self.given is not None:
            return (RestrictedAlignment(self.restriction),)
        if self.blocks:
            return (SequenceAlignment(str(self.whole), self.within),)
        return (LabelAlignment(within=self.within, per=self.whole),)

    def orbit(self, problem: Problem) -> IndexOrbit:
        """Return the distinct relabelings."""
        return problem.memo(("orbit", self), lambda: self.restriction.orbit(problem))

    def order(self, problem: Problem, rng: np.random.Generator) -> np.ndarray:
        """Return row indices of shape (n,), uniform over all rearrangements."""
        return self.orbit(problem).order(rng)

    def check(self, problem: Problem) -> None:
        """Refuse a problem on which every draw is the identity."""
        if self.orbit(problem).log_count < 1e-9:
            raise CannotControl(
                f"ShuffleLabels can only draw the identity: among the {self.restriction.words} no two differ "
                "that may change places; use another restriction (whole groups for labels constant in groups)."
            )

    def caveats(self, problem: Problem, rng: np.random.Generator) -> tuple[str, ...]:
        """Return the dependence of labels within units that contradicts exchangeability, in words."""
        found = caveats_of(problem, self.orbit(problem), rng, self.restriction)
        match self.restriction:
            case Given() as given:
                return (*found, *bin_caveats(problem, given, rng))
        return found

    def types(self, problem: Problem) -> np.ndarray | None:
        """Return the group of each row, where whole groups have one label."""
        return None if self.whole is None or self.blocks else problem.codes(self.whole)

    def integrity(self, problem: Problem, train: np.ndarray, test: np.ndarray) -> dict[str, float]:
        """Return, for strata of nuisance columns, the share of all rows whose label can move."""
        match self.restriction:
            case Given() as given:
                return {"rows whose label can move": float(given.movable(problem).mean())}
        return {}


@final
@dataclass(frozen=True)
class FlipSigns(LabelControl):
    """Keeps the activations and the size of each label; destroys its sign, of whole groups or of rows.

    Parameters
    ----------
    per : str, optional
        The group whose rows keep a common sign change; each row its own where None.

    Notes
    -----
    Null hypothesis: given the activations, labels (differences, contrasts) are symmetric about zero.
    Exact under it. A draw costs O(n).

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> problem = ct.Problem(np.eye(3), [1.5, -2.0, 0.5])
    >>> np.abs(ct.FlipSigns().draw(problem, np.random.default_rng(0)).labels).tolist()
    [1.5, 2.0, 0.5]
    """

    per: str | None = None

    @property
    def inference(self) -> Inference:
        """Exact under the null."""
        return "exact"

    @property
    def null(self) -> str:
        """The null hypothesis, as one sentence."""
        return f"Given the activations, the labels of each {self.per or 'row'} are symmetric about zero."

    @property
    def licenses(self) -> str:
        """What surviving this control licenses one to say, as one sentence."""
        return "The activations carry information about the sign of the labels; not that the model learned it."

    @property
    def preserves(self) -> tuple[Property, ...]:
        """The activations, the groups and the size of each label."""
        return (*_KEPT, LabelSizes())

    @property
    def destroys(self) -> tuple[Property, ...]:
        """The sign of the labels."""
        return (SignAlignment(self.per),)

    def orbit(self, problem: Problem) -> SignOrbit:
        """Return the distinct relabelings."""
        return problem.memo(("orbit", self), lambda: SignFlip(self.per).orbit(problem))

    def relabel(self, problem: Problem, rng: np.random.Generator) -> np.ndarray:
        """Return labels with signs drawn, uniform over all."""
        return self.orbit(problem).draw(rng)

    def check(self, problem: Problem) -> None:
        """Refuse labels that are all zero, or that would become labels the problem has not."""
        if self.orbit(problem).log_count < 1e-9:
            raise CannotControl("FlipSigns can only draw the identity: every label is zero.")
        if problem.target != "continuous" and not np.isin(-problem.classes, problem.classes).all():
            raise InputError(
                f"labels must be symmetric classes such as -1 and 1 for FlipSigns, got {problem.classes[:6].tolist()}."
            )

    def caveats(self, problem: Problem, rng: np.random.Generator) -> tuple[str, ...]:
        """Return the dependence of signs on one another that contradicts the null, in words."""
        return caveats_of(problem, self.orbit(problem), rng, SignFlip(self.per))
