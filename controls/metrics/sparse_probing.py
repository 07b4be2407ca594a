"""Probes on the few latents that tell labels apart best."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np

from controls.core.dictionary import as_dictionary
from controls.core.errors import InputError
from controls.core.problem import Problem
from controls.core.rng import stream
from controls.core.validate import real_number, whole_number
from controls.metrics._latents import checked_latents, latents_of
from controls.metrics.auroc import FoldedAuc, second_class

Split = tuple[np.ndarray, np.ndarray]


@final
@dataclass(frozen=True)
class SparseProbing:
    """Area under the ROC curve of a logistic probe on the k latents whose class means differ most.

    Latents are chosen by the absolute difference of their means in the two classes (Gurnee et al. 2023)
    and the probe is fitted on some of the problem's units; other units are scored. Every unit is
    scored once at most, and never by latents or a probe that saw it; parts that hold one class only are left out.

    Parameters
    ----------
    k : int, default 1
        Number of latents.
    C : float, default 1.0
        Inverse strength of the probe's L2 penalty, on latents of variance 1.
    cv : int, default 4
        Parts that the units are split into, at random, always the same way.

    Notes
    -----
    Choosing the best k of m is inside what is scored: under a control the best k of m are chosen too. The
    interval is that of these fitted probes on new units. Time: two encodings; memory of n · k · cv
    latents and one block.

    Raises
    ------
    InputError
        Labels that are not two classes, more latents than there are, or parts of units that have
        one class only, all of them.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> rng = np.random.default_rng(0)
    >>> X = rng.gamma(1.0, size=(200, 5))
    >>> problem = ct.Problem(X, labels=X[:, 3] > 1)
    >>> ct.metrics.SparseProbing(k=1)(np.eye(5), problem) > 0.99
    True
    """

    k: int = 1
    C: float = 1.0
    cv: int = 4

    ceiling: ClassVar[float] = 1.0

    def __post_init__(self) -> None:
        whole_number(self.k, "k", low=1)
        real_number(self.C, "C", low=0, high=float("inf"))
        whole_number(self.cv, "cv", low=2)

    def __call__(self, finding: Any, problem: Problem) -> FoldedAuc:
        """Return the score of a finding."""
        dictionary, truth = as_dictionary(finding), second_class(problem)
        parts = self._parts(problem)
        chosen = self.chosen(dictionary, problem)
        columns = np.unique(np.concatenate(chosen))
        latents = latents_of(dictionary, problem, columns)
        scores, folds = np.zeros(problem.n), np.full(problem.n, -1)
        for fold, (train, test) in self._usable(parts, truth):
            X = latents[:, np.searchsorted(columns, chosen[fold])]
            scores[test], folds[test] = self._decide(X[train], truth[train], X[test]), fold
        if (folds < 0).all():
            raise InputError(
                f"labels must have both classes on either side of one of {len(parts)} parts of units, got none; take "
                f"more than {problem.n_units} units."
            )
        return FoldedAuc(truth, scores, folds)

    def chosen(self, finding: Any, problem: Problem) -> list[np.ndarray]:
        """Return the k latents chosen for each part, best first: without the rows of that part."""
        dictionary, truth = as_dictionary(finding), second_class(problem)
        if self.k > dictionary.n_latents:
            raise InputError(f"k must be at most the dictionary's {dictionary.n_latents} latents, got {self.k}.")
        parts = self._parts(problem)
        sums = np.zeros((parts.max() + 1, 2, dictionary.n_latents))
        for rows, latents in checked_latents(dictionary, problem):
            for part in np.unique(parts[rows]):
                for label in (0, 1):
                    sums[part, label] += latents[(parts[rows] == part) & (truth[rows] == label)].sum(axis=0)
        counts = np.array([[((parts == part) & (truth == c)).sum() for c in (0, 1)] for part in range(len(sums))])
        means = (sums.sum(axis=0) - sums) / np.maximum(counts.sum(axis=0) - counts, 1)[..., None]
        gaps = np.abs(means[:, 1] - means[:, 0])
        return [np.argsort(-gap, kind="stable")[: self.k] for gap in gaps]

    def _parts(self, problem: Problem) -> np.ndarray:
        """Return the part of each row: units are dealt out at random, without a look at labels."""
        # Which of the units are there is not what parts go by: a problem of some rows has parts of its own.
        codes = np.unique(problem.unit_codes, return_inverse=True)[1]
        n_units = int(codes.max()) + 1
        dealt = stream(0, "SparseProbing", n_units).permutation(n_units) % min(self.cv, n_units)
        return dealt[codes]

    def _usable(self, parts: np.ndarray, truth: np.ndarray) -> Iterator[tuple[int, Split]]:
        for fold in range(parts.max() + 1):
            train, test = np.flatnonzero(parts != fold), np.flatnonzero(parts == fold)
            if all(len(rows) and 0 < truth[rows].sum() < len(rows) for rows in (train, test)):
                yield fold, (train, test)

    def _decide(self, train: np.ndarray, truth: np.ndarray, test: np.ndarray) -> np.ndarray:
        from sklearn.linear_model import LogisticRegression

        mean, scale = train.mean(axis=0), train.std(axis=0)
        scale = np.where(scale > 0, scale, 1.0)
        # To convergence: where it stops early, rounding, and so the machine, decides the order of near rows.
        probe = LogisticRegression(C=self.C, solver="newton-cholesky", tol=1e-8).fit((train - mean) / scale, truth)
        return probe.decision_function((test - mean) / scale)
