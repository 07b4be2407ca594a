"""ClusterTask: labels of a structure that is in the activations, and means nothing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal, final

import numpy as np

from controls.core.arrays import dense_rows
from controls.core.control import Inference, LabelControl
from controls.core.errors import CannotControl, InputError
from controls.core.exchangeability import labels_of
from controls.core.problem import Problem
from controls.core.properties import LabelAlignment, LabelSet, Property, SameActivations, SameGroups
from controls.core.rng import stream
from controls.core.validate import one_of, whole_number
from controls.generators.activations import of_activations, vary
from controls.generators.moments import chunks

_TRIES = 100  # draws of labels that are all the same, before one cell is given another label
_ROWS = 20_000  # from which k-means learns its cells


@final
@dataclass(frozen=True)
class ClusterTask(LabelControl):
    """Gives every cell of activation space one random label: new structure instead of none.

    A control task over places rather than words. Shuffled labels have nothing to do with the activations,
    so any probe that reads anything beats them. These are a function of the activations, one that no model
    has learned: how well would the probe read a question that was made up?

    Parameters
    ----------
    n_clusters : int
        Number of cells. More of them make a question that is harder to read, and fewer one whose labels are less
        even.
    cells : {"random", "kmeans"}
        "random": each draw takes rows at random as centres, and gives each row the cell of the nearest one.
        "kmeans": the cells are clusters of the activations, the same at all draws; only their labels differ.

    Raises
    ------
    CannotControl
        Labels that are all the same.
    InputError
        More cells than rows; sparse activations are read as they are.

    Notes
    -----
    Hypothesis: the score is no higher than on random questions about where in activation space a row lies.
    Draws are an ensemble: p is the rank among such questions, not a test of independence. Labels are drawn
    from those of all rows, so that their frequencies vary with the sizes of cells, and drawn again where all cells
    get the same. Coordinates count as they
    are scaled: standardise activations in which a few are huge. Cost: O(n d n_clusters) a draw for "random",
    once for "kmeans" (from at most 20,000 rows); distances are computed in chunks of rows.

    References
    ----------
    Hewitt and Liang (2019), arXiv 1909.03368, for control tasks over words.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> X = np.repeat(np.eye(3), 2, axis=0)
    >>> drawn = ct.ClusterTask(3, cells="kmeans").draw(ct.Problem(X, [0, 1] * 3), np.random.default_rng(1)).labels
    >>> drawn[0] == drawn[1], drawn[2] == drawn[3], drawn[4] == drawn[5]
    (np.True_, np.True_, np.True_)
    """

    n_clusters: int = 50
    cells: Literal["random", "kmeans"] = "random"

    def __post_init__(self) -> None:
        whole_number(self.n_clusters, "n_clusters", low=2)
        one_of(self.cells, "cells", ("random", "kmeans"))

    @property
    def inference(self) -> Inference:
        """A rank among random questions."""
        return "ensemble"

    @property
    def null(self) -> str:
        """What the rank speaks of, as one sentence."""
        return f"The score is no higher than on random labels of {self._what}."

    @property
    def licenses(self) -> str:
        """What surviving this control licenses one to say, as one sentence."""
        return (
            f"The labels are easier to read than made-up ones of {self._what}; not that the model learned them, nor "
            "that it uses them."
        )

    @property
    def _what(self) -> str:
        kind = "clusters" if self.cells == "kmeans" else "random cells"
        return f"{self.n_clusters} {kind} of the activations"

    @property
    def preserves(self) -> tuple[Property, ...]:
        """The activations, the groups and the set of labels."""
        return (SameActivations(), SameGroups(), LabelSet())

    @property
    def destroys(self) -> tuple[Property, ...]:
        """Which row has which label."""
        return (LabelAlignment(),)

    def check(self, problem: Problem) -> None:
        """Refuse labels that are all the same, and more cells than rows."""
        if problem.labels is None or len(np.unique(labels_of(problem))) < 2:
            raise CannotControl("ClusterTask gives cells the labels there are, but they are all the same.")
        if self.n_clusters > problem.n:
            raise InputError(f"n_clusters must be at most the number of rows, {problem.n}, got {self.n_clusters}.")
        if not vary(problem, np.zeros(problem.n, dtype=np.int64)):
            raise CannotControl("ClusterTask needs activations that vary, got the same row everywhere.")

    def relabel(self, problem: Problem, rng: np.random.Generator) -> np.ndarray:
        """Return one random label per cell, two different ones at least."""
        cells, labels = self._of_each(problem, rng), labels_of(problem)
        for _ in range(_TRIES):
            drawn = labels[rng.integers(problem.n, size=self.n_clusters)][cells]
            if (drawn != drawn[0]).any():
                return drawn
        others = np.flatnonzero(labels != drawn[0])
        drawn[cells == rng.choice(np.unique(cells)[1:])] = labels[rng.choice(others)]
        return drawn

    def _of_each(self, problem: Problem, rng: np.random.Generator) -> np.ndarray:
        if self.cells == "kmeans":
            return of_activations(problem, ("cells", self.n_clusters), partial(_clusters, problem, self.n_clusters))
        centres = dense_rows(problem.X, rng.choice(problem.n, size=self.n_clusters, replace=False))
        return _nearest(problem, centres)


def _clusters(problem: Problem, count: int) -> np.ndarray:
    import warnings

    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    rng = stream(0, "cells", count)
    rows = np.sort(rng.choice(problem.n, size=min(problem.n, _ROWS), replace=False))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct rows than cells: some stay empty
        found = KMeans(count, random_state=int(rng.integers(2**31))).fit(dense_rows(problem.X, rows))
    return _nearest(problem, found.cluster_centers_)


def _nearest(problem: Problem, centres: np.ndarray) -> np.ndarray:
    from sklearn.metrics import pairwise_distances_argmin

    parts = [
        pairwise_distances_argmin(dense_rows(problem.X, rows), centres.astype(problem.X.dtype))
        for rows in chunks(np.arange(problem.n), max(problem.d, len(centres)))
    ]
    return np.concatenate(parts)
