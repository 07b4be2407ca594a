"""The control task of dependency edges: every word attaches in one random way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from controls.core.attachment import Attachment, HeadAlignment, OneBehaviour
from controls.core.control import Inference, LabelControl
from controls.core.errors import CannotControl
from controls.core.problem import Problem
from controls.core.properties import Property, SameActivations, SameGroups
from controls.core.validate import one_of


@final
@dataclass(frozen=True)
class AttachmentTask(LabelControl):
    """Keeps one way to attach per word; destroys where rows attach to (Hewitt and Liang 2019, dependency edges).

    Every type gets at random one of three behaviours: its rows attach to themselves, to the first row
    of their sentence, or to the last. What a probe scores on it is what it can memorise about types,
    together with what it can tell of places.

    Parameters
    ----------
    per : str
        The group whose members are the types, for example "word".
    sentence : str
        The group of which each member is a sentence. All its rows are there, in order.
    encoding : {"offset", "position"}
        What the problem's labels are, so that drawn ones are the same: the place of the head minus
        that of the token (0 for a token that attaches to itself), or the place of the head counted
        from 1, as in the HEAD column of CoNLL-U.

    Raises
    ------
    CannotControl
        There is only one type, or every sentence has one row.
    InputError
        An unknown group; labels that are no numbers.

    Notes
    -----
    Hypothesis: the score is no higher than on such random tasks, an ensemble. As numbers with a
    fraction (``labels.astype(float)``, for regression) labels are drawn as they are. Where labels are
    classes, a drawn one that the problem does not have goes to the nearest class that it has, as
    offsets that are clipped do; the integrity figures say how often. O(n) a draw.

    References
    ----------
    Hewitt and Liang (2019), Designing and Interpreting Probes with Control Tasks, arXiv 1909.03368.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> groups = {"word": ["a", "dog", "saw", "a", "cat"], "sentence": [0, 0, 0, 0, 0]}
    >>> problem = ct.Problem(np.eye(5), [1.0, 1.0, 0.0, 1.0, -2.0], groups=groups)
    >>> ct.AttachmentTask().draw(problem, np.random.default_rng(0)).labels.tolist()
    [4.0, -1.0, 0.0, 1.0, -4.0]
    """

    per: str = "word"
    sentence: str = "sentence"
    encoding: str = "offset"

    def __post_init__(self) -> None:
        one_of(self.encoding, "encoding", ("offset", "position"))

    @property
    def attachment(self) -> Attachment:
        """How attachments are written down."""
        return Attachment(self.sentence, self.encoding)

    @property
    def inference(self) -> Inference:
        """A rank among random tasks."""
        return "ensemble"

    @property
    def null(self) -> str:
        """What the rank speaks of, as one sentence."""
        return (
            f"The score is no higher than on random tasks in which each {self.per} attaches in one way: to itself, "
            f"to the first or to the last row of its {self.sentence}."
        )

    @property
    def licenses(self) -> str:
        """What surviving this control licenses one to say, as one sentence."""
        return (
            f"The probe reads more of where tokens attach than it could memorise about each {self.per} and tell from "
            "places; not that the model learned it."
        )

    @property
    def preserves(self) -> tuple[Property, ...]:
        """The activations, the groups, and one way to attach per type."""
        return (SameActivations(), SameGroups(), OneBehaviour(self.per, self.attachment))

    @property
    def destroys(self) -> tuple[Property, ...]:
        """Where rows attach to."""
        return (HeadAlignment(self.attachment),)

    def relabel(self, problem: Problem, rng: np.random.Generator) -> np.ndarray:
        """Return what one random way of each type gives its rows, shape (n,)."""
        types = problem.codes(self.per)
        ways = rng.integers(3, size=int(types.max()) + 1)[types]
        return self.attachment.options(problem)[np.arange(problem.n), ways]

    def check(self, problem: Problem) -> None:
        """Refuse a single type, and sentences in which there is nowhere else to attach to."""
        options = self.attachment.options(problem)
        if problem.codes(self.per).max() == 0:
            raise CannotControl(f"AttachmentTask needs at least two types, but {self.per} has a single value.")
        if (options == options[:, :1]).all():
            raise CannotControl(
                f"AttachmentTask needs rows with several places to attach to, but all ways give the same label; "
                f"check that {self.sentence!r} names sentences, and that labels are {self.encoding}s."
            )

    def integrity(self, problem: Problem, train: np.ndarray, test: np.ndarray) -> dict[str, float]:
        """Return the share of test rows whose type was trained on, and of labels that went to the nearest class."""
        types = problem.codes(self.per)
        moved = self.attachment.exact(problem) != self.attachment.options(problem)
        return {
            "evaluation rows whose type was seen in training": float(np.isin(types[test], types[train]).mean()),
            "drawn labels moved to the nearest class": float(moved.mean()),
        }
