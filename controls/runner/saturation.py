"""Saturation: where so few types are told apart so well that labels drawn for each type are as readable as any."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from controls.core.arrays import dense_rows
from controls.core.control import Control
from controls.core.products import numerical_rank
from controls.core.rng import stream
from controls.runner.evaluate import Evaluator

SATURATED = 0.9  # R² of random labels of types: a perfect finding is then selective by .1 at most
_SEEN = 0.9  # share of evaluation rows whose type was trained on, below which nothing is memorised
_ROWS = 8  # rows looked at, for each feature
_WIDEST = 4096  # features above which nothing is looked at
_FLAT = 1e-12  # variances below this share of the largest count as 0


@dataclass(frozen=True)
class Saturation:
    """How far random labels of types are linear in the activations.

    Parameters
    ----------
    n_types : int
        Number of types N.
    rank : int
        Numerical rank r of the types' mean activations, N - 1 at most.
    r2 : float
        Expected R² of labels drawn at random for each type, in a linear fit to rows, adjusted for its rank:
        r/(N - 1) where rows of a type do not differ, less where they do. NaN where rows are too few to tell.
    """

    n_types: int
    rank: int
    r2: float

    @property
    def words(self) -> str:
        """What it means for the control, in words."""
        return (
            f"saturated: this control cannot speak here; the mean activations of its {self.n_types} types have rank "
            f"{self.rank}, r/(N − 1) = {self.rank / (self.n_types - 1):.2f}, and labels drawn at random for each are "
            f"linear in the activations (R² {self.r2:.2f}): beside a probe that no penalty holds back, whatever was "
            "learned has selectivity near 0 or below by construction; take more types, or fewer features"
        )


def saturation_caveats(control: Control, evaluator: Evaluator, seed: int) -> tuple[str, ...]:
    """Return the caveat of a control that draws one label a type, where that limits what it can say.

    Costs O(n d² + d³), at most 8 d rows, and only where there are hardly more types than features.
    """
    problem = evaluator.problem
    types = control.types(problem)
    if types is None or problem.labels is None or problem.d > _WIDEST:
        return ()
    few = SATURATED * types.max() <= problem.d
    if not few or not types.max() or _seen(types, evaluator) < _SEEN:
        return ()
    rows = np.arange(problem.n)
    if problem.n > _ROWS * problem.d:
        rows = np.sort(stream(seed, "saturation").choice(problem.n, _ROWS * problem.d, replace=False))
    found = saturation(dense_rows(problem.X, rows), types[rows])
    return (found.words,) if found.r2 >= SATURATED else ()


def saturation(X: np.ndarray, types: np.ndarray) -> Saturation:
    """Return the saturation of activations (n, d) with types (n,).

    Examples
    --------
    >>> found = saturation(np.repeat(np.eye(5), 9, axis=0), np.repeat(np.arange(5), 9))
    >>> found.rank, round(found.r2, 6)
    (4, 1.0)
    """
    codes = np.unique(types, return_inverse=True)[1].ravel()
    sizes = np.bincount(codes)
    centred = np.asarray(X, dtype=np.float64) - X.mean(axis=0, dtype=np.float64)
    order = np.argsort(codes, kind="stable")
    sums = np.add.reduceat(centred[order], np.cumsum(sizes) - sizes, axis=0)
    rank = min(numerical_rank(sums / sizes[:, None]), len(sizes) - 1)
    variances, directions = np.linalg.eigh(centred.T @ centred)
    kept = variances > _FLAT * variances[-1]
    n, width = len(codes), int(kept.sum())
    if n <= 2 * (width + 1) or not width:
        return Saturation(len(sizes), rank, np.nan)
    along = np.square(sums @ directions[:, kept]).sum(axis=0) / variances[kept]
    r2 = float(along.sum() / (n - np.square(sizes).sum() / n))
    return Saturation(len(sizes), rank, 1 - (1 - r2) * (n - 1) / (n - 1 - width))


def _seen(types: np.ndarray, evaluator: Evaluator) -> float:
    """Return the share of evaluation rows whose type was trained on."""
    return float(np.mean([np.isin(types[test], types[train]).mean() for train, test in evaluator.folds.default()]))
