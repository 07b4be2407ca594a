"""Controls on labels: what we ask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from controls.core.control import IndexControl, Inference, LabelControl
from controls.core.errors import CannotControl, InputError
from controls.core.exactness import caveats_of
from controls.core.exchangeability import Free, IndexExchangeability, SignFlip, Whole, Within, labels_of
from controls.core.orbit import ExpandedOrbit, SignOrbit, TreeOrbit
from controls.core.problem import Problem
from controls.core.properties import (
    LabelAlignment,
    LabelCounts,
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
from controls.core.validate import one_of, real_number, whole_number

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
    (Hemerik and Goeman 2018). With a named unit, the library looks at whether labels are serially
    dependent or clustered in a way that contradicts the null, and if so withdraws the claim.
    A draw costs O(n log n) time and O(n) memory.

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
    """

    within: str | None = None
    whole: str | None = None
    blocks: bool = False
    exchangeability: IndexExchangeability | None = None

    def __post_init__(self) -> None:
        if self.exchangeability is not None and (self.within or self.whole or self.blocks):
            raise InputError("exchangeability replaces within=, whole= and blocks=, got both; give it alone.")
        if self.blocks and self.whole is None:
            raise InputError("blocks=True exchanges whole label sequences and needs whole=, got None; name the group.")
        if self.whole is not None and self.whole == self.within:
            raise InputError(f"whole= and within= must be different groups, got {self.whole!r} twice.")

    @property
    def restriction(self) -> IndexExchangeability:
        """What may be exchanged with what."""
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
        beyond = f" beyond what the {self.within} tells" if self.within else ""
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
        return (*kept, LabelCounts())

    @property
    def destroys(self) -> tuple[Property, ...]:
        """Which row (or group) has which label."""
        if self.exchangeability is not None:
            return (RestrictedAlignment(self.exchangeability),)
        if self.blocks:
            return (SequenceAlignment(str(self.whole), self.within),)
        return (LabelAlignment(within=self.within, per=self.whole),)

    def orbit(self, problem: Problem) -> TreeOrbit | ExpandedOrbit:
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
        return caveats_of(problem, self.orbit(problem), rng, self.restriction.groups_named)


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
        return caveats_of(problem, self.orbit(problem), rng, SignFlip(self.per).groups_named)


@final
@dataclass(frozen=True)
class ControlTask(LabelControl):
    """Keeps ties (one label a type); destroys what the label has to do with the task (Hewitt and Liang 2019).

    Every type, for example every word, gets one random label, the same in training and evaluation.
    What a probe scores on it is what it can memorise about types.

    Parameters
    ----------
    per : str or sequence of str
        The group whose members are the types; several names: their combinations.
    marginal : {"empirical", "uniform"}
        Draw each type's label from the labels of all rows, or uniformly from the classes.
    context : int
        Key the label on this many preceding types of the same unit as well (an n-gram task).
    corrupted : float
        Share of rows, between 0 and 1, that get a label of their own instead of their type's: a
        mixture that grades how much can be memorised.

    Raises
    ------
    CannotControl
        There is only one type.
    InputError
        An unknown group; uniform marginals for continuous labels.

    Notes
    -----
    Hypothesis: the score is no higher than on tasks that can only be memorised. Draws are an
    ensemble: p is the rank among random tasks, not a test of independence. O(n) a draw.

    References
    ----------
    Hewitt and Liang (2019), Designing and Interpreting Probes with Control Tasks, arXiv 1909.03368.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> problem = ct.Problem(np.eye(4), ["a", "b", "a", "b"], groups={"word": ["x", "y", "x", "z"]})
    >>> drawn = ct.ControlTask(per="word").draw(problem, np.random.default_rng(0)).labels
    >>> bool(drawn[0] == drawn[2])
    True
    """

    per: str | tuple[str, ...]
    marginal: str = "empirical"
    context: int = 0
    corrupted: float = 0.0

    def __post_init__(self) -> None:
        names = (self.per,) if isinstance(self.per, str) else tuple(self.per or ())
        if not names or not all(isinstance(name, str) for name in names):
            raise InputError(f"per must name at least one group, got {self.per!r}.")
        object.__setattr__(self, "per", names[0] if len(names) == 1 else names)
        one_of(self.marginal, "marginal", ("empirical", "uniform"))
        whole_number(self.context, "context", low=0)
        real_number(self.corrupted, "corrupted", low=0.0, high=1.0, open_ends=False)

    @property
    def _names(self) -> tuple[str, ...]:
        return (self.per,) if isinstance(self.per, str) else self.per

    @property
    def _type_word(self) -> str:
        return " and ".join(self._names) + (f" after its {self.context} preceding ones" if self.context else "")

    @property
    def inference(self) -> Inference:
        """A rank among random tasks."""
        return "ensemble"

    @property
    def null(self) -> str:
        """What the rank speaks of, as one sentence."""
        return f"The score is no higher than on random tasks that give each {self._type_word} one label."

    @property
    def licenses(self) -> str:
        """What surviving this control licenses one to say, as one sentence."""
        return (
            f"The probe reads more than it could memorise about each {self._type_word}; "
            "not that the labels are independent of it, nor that the model learned them."
        )

    @property
    def preserves(self) -> tuple[Property, ...]:
        """The activations, the groups, the set of labels, and ties where no other key loosens them."""
        tied = isinstance(self.per, str) and not self.context and not self.corrupted
        return (*_KEPT, LabelSet(), Ties(str(self.per))) if tied else (*_KEPT, LabelSet())

    @property
    def destroys(self) -> tuple[Property, ...]:
        """Which row has which label."""
        return (LabelAlignment(),)

    def types(self, problem: Problem) -> np.ndarray:
        """Return the type of each row as numbers 0 … T−1, shape (n,)."""
        return problem.memo(("types", self), lambda: self._types(problem))

    def _types(self, problem: Problem) -> np.ndarray:
        keys = [problem.codes(name) for name in self._names]
        types = np.unique(np.stack(keys), axis=1, return_inverse=True)[1].ravel()
        columns, units = [types], problem.unit_codes if problem.unit else np.zeros(problem.n, dtype=np.int64)
        order = np.argsort(units, kind="stable")
        for step in range(1, self.context + 1):
            before = np.full(problem.n, -1)
            same = units[order[step:]] == units[order[:-step]]
            before[order[step:][same]] = types[order[:-step][same]]
            columns.append(before)
        return np.unique(np.stack(columns), axis=1, return_inverse=True)[1].ravel()

    def relabel(self, problem: Problem, rng: np.random.Generator) -> np.ndarray:
        """Return one random label per type, and for corrupted rows one of their own."""
        types = self.types(problem)
        labels = self._random_labels(problem, int(types.max()) + 1, rng)[types]
        if self.corrupted:
            own = rng.random(problem.n) < self.corrupted
            labels[own] = self._random_labels(problem, int(own.sum()), rng)
        return labels

    def _random_labels(self, problem: Problem, size: int, rng: np.random.Generator) -> np.ndarray:
        pool = problem.labels if self.marginal == "empirical" else problem.classes
        return pool[rng.integers(len(pool), size=size)]

    def check(self, problem: Problem) -> None:
        """Refuse a single type, and uniform marginals for numbers."""
        labels_of(problem)
        if self.marginal == "uniform" and problem.target == "continuous":
            raise InputError("marginal must be 'empirical' for continuous labels, got 'uniform'.")
        if self.types(problem).max() == 0:
            raise CannotControl(f"ControlTask needs at least two types, but {self._type_word} has a single value.")
        _refuse_single_label(problem, "ControlTask")

    def integrity(self, problem: Problem, train: np.ndarray, test: np.ndarray) -> dict[str, float]:
        """Return the share of test rows whose type was trained on, and the accuracy ceiling that gives.

        The ceiling counts seen types as known, but for corrupted rows, and all else at the rate of
        the most frequent label.
        """
        types = self.types(problem)
        seen = float(np.isin(types[test], types[train]).mean())
        figures = {"evaluation rows whose type was seen in training": seen}
        if problem.target == "continuous":
            return figures
        if self.marginal == "uniform":
            guess = 1.0 / len(problem.classes)
        else:
            guess = float(np.bincount(problem.label_codes).max() / problem.n)
        known = seen * (1.0 - self.corrupted)
        return {**figures, "ceiling of control accuracy": known + (1.0 - known) * guess}


@final
@dataclass(frozen=True)
class ResampleLabels(LabelControl):
    """Keeps the label distribution in expectation; destroys which row has which label, and the exact counts.

    Parameters
    ----------
    within : str, optional
        Draw from the labels of the same member of this group.

    Notes
    -----
    Hypothesis: the score is no higher than with labels drawn from their own distribution. The
    observed counts are not kept, so draws are an ensemble; prefer ShuffleLabels where it applies.
    O(n) a draw.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> problem = ct.Problem(np.eye(4), [0, 1, 1, 1])
    >>> ct.ResampleLabels().draw(problem, np.random.default_rng(0)).labels.shape
    (4,)
    """

    within: str | None = None

    @property
    def inference(self) -> Inference:
        """A rank among resampled labels."""
        return "ensemble"

    @property
    def null(self) -> str:
        """What the rank speaks of, as one sentence."""
        each = f" of the same {self.within}" if self.within else ""
        return f"The score is no higher than with labels drawn at random from the labels{each}."

    @property
    def licenses(self) -> str:
        """What surviving this control licenses one to say, as one sentence."""
        return "The score is more than the label distribution alone gives; not that the model learned the labels."

    @property
    def preserves(self) -> tuple[Property, ...]:
        """The activations, the groups and the set of labels."""
        return (*_KEPT, LabelSet())

    @property
    def destroys(self) -> tuple[Property, ...]:
        """Which row has which label."""
        return (LabelAlignment(within=self.within),)

    def relabel(self, problem: Problem, rng: np.random.Generator) -> np.ndarray:
        """Return labels drawn with replacement."""
        if self.within is None:
            return problem.labels[rng.integers(problem.n, size=problem.n)]
        codes = problem.codes(self.within)
        order, sizes = np.argsort(codes, kind="stable"), np.bincount(codes)
        starts = np.cumsum(sizes) - sizes
        return problem.labels[order[starts[codes] + (rng.random(problem.n) * sizes[codes]).astype(np.int64)]]

    def check(self, problem: Problem) -> None:
        """Refuse labels that are constant (within each member of the group), and a group that is not there."""
        labels_of(problem)
        _refuse_single_label(problem, "ResampleLabels", self.within)


def _refuse_single_label(problem: Problem, control: str, within: str | None = None) -> None:
    """Refuse labels that are one and the same, everywhere or within every member of a group."""
    strata = problem.codes(within) if within else np.zeros(problem.n, dtype=np.int64)
    codes = problem.label_codes
    first = np.unique(strata, return_index=True)[1]
    if (codes == codes[first][strata]).all():
        where = f" within every {within}" if within else ""
        raise CannotControl(f"{control} can only draw the identity: labels are constant{where}; check the labels.")
