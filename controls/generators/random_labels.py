"""Controls that draw new labels at random: tasks that can only be memorised, and bare label distributions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from controls.core.control import Inference, LabelControl
from controls.core.errors import CannotControl, InputError
from controls.core.exchangeability import labels_of
from controls.core.problem import Problem
from controls.core.properties import LabelAlignment, LabelSet, Property, SameActivations, SameGroups, Ties
from controls.core.validate import one_of, real_number, whole_number

_KEPT = (SameActivations(), SameGroups())


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

    moves_labels_only: ClassVar[bool] = True
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
        """Return the type of each row as numbers 0 … T−1, shape (n,); corrupted rows have theirs too."""
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
        if problem.target == "continuous" or problem.label_sets is not None:
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

    moves_labels_only: ClassVar[bool] = True
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
    if problem.constant_within(within) if within else len(problem.classes) == 1:
        where = f" within every {within}" if within else ""
        raise CannotControl(f"{control} can only draw the identity: labels are constant{where}; check the labels.")
