"""A planted signal: labels written into activations along random directions, at a size that is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from scipy.special import ndtr

from controls.core.arrays import is_sparse
from controls.core.errors import InputError, InputTypeError
from controls.core.problem import Problem

_TOLERANCE = 1e-7  # singular values below this share of the largest one count as zero


@final
@dataclass(frozen=True, eq=False)
class Signal:
    """Directions along which labels can be added to activations, so that the size of the effect is known.

    An effect of size 1 sets two classes (or numbers one standard deviation apart) one standard
    deviation apart, for the linear readout that sees it best: the squared Mahalanobis distance of the
    shift, by the covariance of all rows as they were, is 1. Where activations are normal, that readout
    has AUC Φ(effect / √2) on two classes. Shifts are uniform over all of that size. The covariance is that of
    the rows there are: with n rows of d > n features it lies in n − 1 dimensions, and the distance in the
    population the rows came from is larger, about √(d/n) times.

    Parameters
    ----------
    problem : Problem
        With dense activations, at one site or several.

    Notes
    -----
    O(n d min(n, d)) time once, then O(n d k) for k columns of labels; the planted activations are a copy.
    """

    problem: Problem

    def __post_init__(self) -> None:
        sites = self.problem.activations if self.problem.sites else {"": self.problem.activations}
        object.__setattr__(self, "_roots", {name: _root(array) for name, array in sites.items()})

    def planted(self, labels: np.ndarray, effect: float, rng: np.random.Generator) -> Problem:
        """Return the problem with these labels, and with activations that hold them at this size."""
        labelled = self.problem.with_labels(labels)
        columns = label_columns(labelled)
        activations: dict[str, np.ndarray] = {}
        for name, root in self._roots.items():  # type: ignore[attr-defined]
            array = np.asarray(self.problem.activations[name] if name else self.problem.activations)
            shift = effect * columns @ (directions(len(root), columns.shape[1], rng) @ root)
            activations[name] = (array + shift).astype(array.dtype if array.dtype.kind == "f" else np.float64)
        return labelled.with_activations(activations if self.problem.sites else activations[""])


def ideal_auc(effect: float) -> float:
    """Return the AUC of the best linear readout of normal activations, for two classes.

    Examples
    --------
    >>> round(ideal_auc(1.0), 3)
    0.76
    """
    return float(ndtr(effect / np.sqrt(2)))


def require_dense(problem: Problem) -> None:
    """Refuse activations to which nothing can be added, or that do not vary."""
    sites: Any = problem.activations if problem.sites else {"": problem.activations}
    for array in sites.values():
        if is_sparse(array):
            raise InputTypeError(
                "activations must be dense for a planted signal, got a sparse matrix; pass effects=() to count false "
                "alarms alone, or a problem of X.toarray()."
            )
        if not np.ptp(np.asarray(array), axis=0).any():
            raise InputError("activations must vary for a planted signal, got the same row everywhere.")


def label_columns(problem: Problem) -> np.ndarray:
    """Return what is written into activations: 0 and 1 of two classes, standardised numbers, or a column a class.

    Of more than two classes, columns are scaled so that any two classes are as far apart as two classes are.
    """
    labels = np.asarray(problem.labels)
    if problem.target == "binary":
        columns = problem.label_codes[:, None].astype(np.float64)
    elif problem.target == "multiclass":
        columns = (problem.label_codes[:, None] == np.arange(len(problem.classes))) / np.sqrt(2)
    else:
        columns = labels.reshape(problem.n, -1).astype(np.float64)
        if labels.dtype.kind == "f":
            columns = columns / np.where(columns.std(axis=0) > 0, columns.std(axis=0), 1.0)
    return columns - columns.mean(axis=0)


def directions(rank: int, k: int, rng: np.random.Generator) -> np.ndarray:
    """Return k random unit vectors of this length, at right angles where they fit, shape (k, rank)."""
    drawn = rng.standard_normal((rank, k))
    if k <= rank:
        turned, upper = np.linalg.qr(drawn)
        return (turned * np.sign(np.diag(upper))).T
    return (drawn / np.linalg.norm(drawn, axis=0)).T


def _root(activations: Any) -> np.ndarray:
    """Return R of shape (rank, d) with RᵀR the covariance of the rows."""
    rows = np.asarray(activations, dtype=np.float64)
    n = len(rows)
    centred = rows - rows.mean(axis=0)
    if n > centred.shape[1]:
        centred = np.linalg.qr(centred, mode="r")
    _, spread, axes = np.linalg.svd(centred, full_matrices=False)
    kept = spread > _TOLERANCE * spread[0]
    return (spread[kept] / np.sqrt(n))[:, None] * axes[kept]
