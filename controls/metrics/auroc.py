"""How well single latents tell labels apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np

from controls.core.dictionary import Dictionary, as_dictionary
from controls.core.errors import InputError
from controls.core.problem import Problem
from controls.core.trainer import Output
from controls.core.unit_score import UnitScore
from controls.core.validate import true_or_false
from controls.metrics._latents import checked_latents, latents_of
from controls.metrics.classification import RocAuc

_KEPT = 1 << 24  # activations that are not zero, of as many latents as are looked at in one pass


@final
@dataclass(frozen=True)
class BestLatentAUROC:
    """The largest area under the ROC curve of any single latent against the problem's two classes.

    The maximum of m areas is far above ½ by chance. Under a control, the maximum of m is taken too, so best
    of m is compared with best of m; nothing is to be corrected for. A control that leaves fewer
    latents alive is compared with fewer: look at ``per_latent`` too.

    Parameters
    ----------
    absolute : bool, default False
        Whether a latent that is silent on the second class counts as one that fires on it.

    Notes
    -----
    Exact, with ties (most rows of a latent are tied at zero). The best latent is chosen on the rows that
    it is scored on. Its interval leaves units out of the best latent's area, to first order: which
    one is best stays as it is. Time O(nnz log nnz) of what is not zero, and at least two encodings of
    the rows; memory about 16 million activations, whatever the rows and latents.

    Raises
    ------
    InputError
        Labels that are not two classes.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> problem = ct.Problem([[0.0, 1.0], [0.0, 2.0], [1.0, 2.0], [3.0, 1.0]], labels=[0, 0, 1, 1])
    >>> ct.metrics.BestLatentAUROC().per_latent(np.eye(2), problem)
    array([1. , 0.5])
    """

    absolute: bool = False

    ceiling: ClassVar[float] = 1.0

    def __post_init__(self) -> None:
        true_or_false(self.absolute, "absolute")

    def __call__(self, finding: Any, problem: Problem) -> FoldedAuc:
        """Return the score of a finding."""
        areas = self._sided(self.per_latent(finding, problem))
        best = int(areas.argmax())
        scores = latents_of(as_dictionary(finding), problem, np.array([best]))[:, 0]
        turned = self.absolute and roc_areas(scores[:, None], second_class(problem))[0] < 0.5
        return FoldedAuc(second_class(problem), -scores if turned else scores)

    def per_latent(self, finding: Any, problem: Problem) -> np.ndarray:
        """Return the area of each latent for the second class, shape (m,); ½ where it never fires."""
        dictionary, truth = as_dictionary(finding), second_class(problem)
        areas = np.empty(dictionary.n_latents)
        for columns, entries in _column_ranges(dictionary, problem):
            areas[columns] = _sparse_areas(*entries, truth, columns.stop - columns.start)
        return areas

    def _sided(self, areas: np.ndarray) -> np.ndarray:
        return np.maximum(areas, 1 - areas) if self.absolute else areas


@final
class FoldedAuc(UnitScore):
    """Mean over groups of rows of the area under the ROC curve within the group."""

    truth: np.ndarray
    scores: np.ndarray
    folds: np.ndarray
    sign: float

    def __new__(
        cls, truth: np.ndarray, scores: np.ndarray, folds: np.ndarray | None = None, sign: float = 1.0
    ) -> FoldedAuc:
        """Return the mean area; rows of fold −1 have no score."""
        folds = np.zeros(len(truth), dtype=int) if folds is None else folds
        areas = [roc_areas(scores[folds == k, None], truth[folds == k])[0] for k in np.unique(folds[folds >= 0])]
        self = super().__new__(cls, sign * float(np.mean(areas)))
        self.truth, self.scores, self.folds, self.sign = truth, scores, folds, sign
        return self

    def __getnewargs__(self) -> tuple:  # type: ignore[override]
        """Travel to other processes as what it was made of."""
        return self.truth, self.scores, self.folds, self.sign

    def __neg__(self) -> FoldedAuc:
        """Return the score with its sign turned."""
        return FoldedAuc(self.truth, self.scores, self.folds, -self.sign)

    @property
    def n_rows(self) -> int:
        """Number of rows, those without score among them."""
        return len(self.truth)

    def without_units(self, units: np.ndarray) -> np.ndarray:
        """Return the score without each unit in turn, shape (G,); NaN where a class is gone with it."""
        present = np.unique(self.folds[self.folds >= 0])
        left = np.full(int(units.max()) + 1, float(self))
        for k in present:
            rows = np.flatnonzero(self.folds == k)
            members, local = np.unique(units[rows], return_inverse=True)
            truth, output = self.truth[rows, None].astype(int), Output(scores=self.scores[rows, None])
            without = RocAuc().without_units(truth, output, local)
            assert without is not None
            whole = roc_areas(self.scores[rows, None], self.truth[rows])[0]
            left[members] += self.sign * (without[:, 0] - whole) / len(present)
        return left


def second_class(problem: Problem) -> np.ndarray:
    """Return whether each row is of the second of two classes, shape (n,); refuse other labels."""
    if problem.labels is None:
        raise InputError("labels must be given where latents are scored against them, got a problem without labels.")
    if problem.target != "binary" or len(problem.classes) != 2:
        got = f"{len(problem.classes)} of them" if problem.target == "binary" else f"{problem.target} labels"
        raise InputError(f"labels must be two classes, got {got}; ask about one class at a time.")
    return problem.label_codes == 1


def roc_areas(scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the area of each column of scores (n, B) for rows that are true (n,); ties count half."""
    columns, rows = np.meshgrid(np.arange(scores.shape[1]), np.arange(len(scores)))
    return _sparse_areas(rows.ravel(), columns.ravel(), scores.ravel(), truth, scores.shape[1])


def _column_ranges(
    dictionary: Dictionary, problem: Problem
) -> Iterator[tuple[slice, tuple[np.ndarray, np.ndarray, np.ndarray]]]:
    """Yield ranges of latents with rows, latents within the range, and sizes of all that is not zero in them."""
    counts = np.zeros(dictionary.n_latents, dtype=np.int64)
    for _, latents in checked_latents(dictionary, problem):
        counts += np.count_nonzero(latents, axis=0)
    start, total = 0, np.cumsum(counts)
    while start < len(counts):
        before = total[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(total, before + _KEPT, side="right")))
        parts = []
        for rows, latents in checked_latents(dictionary, problem):
            at, column = np.nonzero(latents[:, start:stop])
            parts.append((rows[at], column, latents[:, start:stop][at, column]))
        yield slice(start, stop), tuple(np.concatenate(each) for each in zip(*parts, strict=True))  # type: ignore[misc]
        start = stop


def _sparse_areas(
    rows: np.ndarray, columns: np.ndarray, values: np.ndarray, truth: np.ndarray, n_columns: int
) -> np.ndarray:
    """Return the area of each column, of entries (row, column, value); places without entry are zeros."""
    positive = truth[rows].astype(np.float64)
    n_positive, n_negative = int(truth.sum()), int(len(truth) - truth.sum())
    shown = np.bincount(columns, positive, n_columns), np.bincount(columns, 1 - positive, n_columns)
    columns = np.concatenate([columns, np.arange(n_columns)])  # the zeros of each column, as one entry
    values = np.concatenate([values.astype(np.float64), np.zeros(n_columns)])
    positive, negative = (
        np.concatenate([each, total - seen])
        for each, total, seen in ((positive, n_positive, shown[0]), (1 - positive, n_negative, shown[1]))
    )
    order = np.lexsort((values, columns))
    columns, values, positive, negative = columns[order], values[order], positive[order], negative[order]
    new = np.r_[True, (columns[1:] != columns[:-1]) | (values[1:] != values[:-1])]
    starts = np.flatnonzero(new)
    tied = np.add.reduceat(positive, starts), np.add.reduceat(negative, starts)
    below = np.cumsum(tied[1]) - tied[1] - n_negative * columns[starts].astype(np.float64)
    wins = np.bincount(columns[starts], tied[0] * (below + tied[1] / 2), n_columns)
    return wins / (n_positive * n_negative)
