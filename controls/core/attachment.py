"""Where a token attaches to in its sentence: to itself, to the first token or to the last, in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from controls.core.errors import InputError
from controls.core.exchangeability import labels_of
from controls.core.problem import Problem
from controls.core.properties import Association, Property
from controls.core.sequences import rows_of_each


@final
@dataclass(frozen=True)
class Attachment:
    """How attachments are written down.

    Parameters
    ----------
    sentence : str
        The group of which each member is a sentence, its rows in order.
    encoding : {"offset", "position"}
        The place of the head minus that of the token, or the place of the head counted from 1, as in
        the HEAD column of CoNLL-U.
    """

    sentence: str
    encoding: str

    def exact(self, problem: Problem) -> np.ndarray:
        """Return what attaching to itself, to the first and to the last row gives each row, shape (n, 3)."""
        place, length = np.empty(problem.n, dtype=np.int64), np.empty(problem.n, dtype=np.int64)
        for rows in rows_of_each(problem.codes(self.sentence)):
            place[rows], length[rows] = np.arange(len(rows)), len(rows)
        heads = np.stack([place, np.zeros_like(place), length - 1], axis=1)
        return heads - place[:, None] if self.encoding == "offset" else heads + 1

    def options(self, problem: Problem) -> np.ndarray:
        """Return the same as labels: as numbers, or each as the nearest of the problem's classes."""
        return problem.memo(("attachment", self), lambda: self._options(problem))

    def _options(self, problem: Problem) -> np.ndarray:
        labels, exact = labels_of(problem), self.exact(problem)
        if labels.dtype.kind not in "iuf":
            raise InputError(
                f"labels must be numbers for attachments ({self.encoding}s of heads), got dtype {labels.dtype}."
            )
        if problem.target == "continuous":
            return exact.astype(labels.dtype)
        classes = problem.classes
        above = np.searchsorted(classes, exact).clip(1, len(classes) - 1) if len(classes) > 1 else np.zeros_like(exact)
        below = np.maximum(above - 1, 0)
        nearer = np.abs(classes[below] - exact.astype(float)) <= np.abs(classes[above] - exact.astype(float))
        return classes[np.where(nearer, below, above)]


@final
@dataclass(frozen=True)
class OneBehaviour(Property):
    """Every type attaches in one way, wherever it stands."""

    per: str
    attachment: Attachment

    @property
    def words(self) -> str:
        """The property in words."""
        return f"one way to attach for all rows of a {self.per}: to itself, the first or the last of its sentence"

    def holds(self, before: Problem, after: Problem) -> bool:
        """Whether for each type one of the three ways gives the labels of all its rows."""
        codes = before.codes(self.per)
        fits = self.attachment.options(before) == after.labels[:, None]
        counts = np.stack([np.bincount(codes, way) for way in fits.T], axis=1)
        return bool((counts == np.bincount(codes)[:, None]).any(axis=1).all())


@final
@dataclass(frozen=True)
class HeadAlignment(Association):
    """Where each row attaches to, beyond the mean of the three ways there are."""

    attachment: Attachment

    @property
    def words(self) -> str:
        """The property in words."""
        return "where each row attaches to"

    def strength(self, before: Problem, after: Problem) -> float:
        """Return the covariance with the observed labels, each row's mean over the three ways taken off, as a share."""
        chance = self.attachment.options(before).mean(axis=1)
        old, new = before.labels - chance, after.labels - chance
        return float(old @ new / max(old @ old, np.finfo(float).tiny))
