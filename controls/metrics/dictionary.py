"""How well a dictionary reconstructs activations, and with how many latents."""

from __future__ import annotations

from typing import Any

import numpy as np

from controls.core.dictionary import as_dictionary
from controls.core.errors import InputError
from controls.core.problem import Problem
from controls.core.unit_score import RowMeans
from controls.metrics._latents import checked_blocks, checked_latents, firing_rates, target_mean


def explained_variance(finding: Any, problem: Problem) -> RowMeans:
    """Return the share of the activations' variance that the reconstruction explains.

    1 − Σ|x − x̂|² / Σ|x − x̄|², sums over rows and features, x̄ the mean of the problem's rows. One is
    perfect; 0 is what the mean alone gives; below 0 is worse.

    Parameters
    ----------
    finding : Dictionary, or what stands for one
        A decoder matrix (m, d), or an object with ``encode`` and ``decode``.
    problem : Problem
        The rows to score; for a dictionary over several sites, all of its sites together.

    Returns
    -------
    RowMeans
        A number, with what each row brings to both sums: intervals leave units out exactly, with x̄
        taken as fixed.

    Raises
    ------
    InputError
        Activations without variance.
    TrainerError
        A reconstruction that is not finite, or of another shape.

    Notes
    -----
    High values show little by themselves: a dictionary that is held at random directions explains
    much of structureless data too. Compare it with ``ct.GaussianActivations`` and
    ``ct.RandomDictionary``. One encoding of the rows; memory of one block.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> problem = ct.Problem([[1.0, 0.0], [0.0, 1.0], [2.0, 0.0], [0.0, 2.0]])
    >>> ct.metrics.explained_variance(np.eye(2), problem)
    1.0
    >>> round(ct.metrics.explained_variance(np.eye(2)[:1], problem), 3)
    0.091
    """
    dictionary = as_dictionary(finding)
    mean = target_mean(dictionary, problem)
    values = np.empty((problem.n, 2))
    for block in checked_blocks(dictionary, problem):
        values[block.rows, 0] = _square(block.targets - block.reconstruction.astype(np.float64))
        values[block.rows, 1] = _square(block.targets - mean)
    scale = float(np.abs(mean).max()) ** 2  # of what rounding leaves
    if values[:, 1].mean() <= 1e-24 * scale * len(mean):
        raise InputError(
            f"activations must vary where explained variance is asked for, got {problem.n} rows that are all alike."
        )
    return RowMeans(values, _one_minus_ratio)


def neg_fvu(finding: Any, problem: Problem) -> RowMeans:
    """Return minus the fraction of variance unexplained, Σ|x − x̂|² / Σ|x − x̄|²: explained variance − 1.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> ct.metrics.neg_fvu(np.eye(2), ct.Problem([[1.0, 0.0], [0.0, 1.0]]))
    -0.0
    """
    return RowMeans(explained_variance(finding, problem).values, _minus_ratio)


def cosine_similarity(finding: Any, problem: Problem) -> RowMeans:
    """Return the mean over rows of the cosine between activations and their reconstruction.

    It forgives a reconstruction that is too short (shrinkage), and an SAE that only gets the mean
    activation right scores high: read it beside explained variance. Rows of zeros, and
    reconstructions of zeros, score 0. Nothing is centred.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> ct.metrics.cosine_similarity(np.eye(2)[:1], ct.Problem([[1.0, 0.0], [0.0, 1.0]]))
    0.5
    """
    dictionary = as_dictionary(finding)
    values = np.empty(problem.n)
    for block in checked_blocks(dictionary, problem):
        found, targets = block.reconstruction.astype(np.float64), block.targets.astype(np.float64)
        lengths = np.sqrt(_square(found) * _square(targets))
        inner = np.einsum("ij,ij->i", found, targets)
        values[block.rows] = np.divide(inner, lengths, out=np.zeros(len(inner)), where=lengths > 0)
    return RowMeans(values)


def neg_l0(finding: Any, problem: Problem) -> RowMeans:
    """Return minus the mean number of latents that are not zero in a row (L0): fewer is sparser.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> ct.metrics.neg_l0(np.eye(2), ct.Problem([[1.0, 3.0], [0.0, 1.0]]))
    -1.5
    """
    dictionary = as_dictionary(finding)
    values = np.empty(problem.n)
    for rows, latents in checked_latents(dictionary, problem):
        values[rows] = -np.count_nonzero(latents, axis=1)
    return RowMeans(values)


def neg_dead_share(finding: Any, problem: Problem) -> float:
    """Return minus the share of latents that are zero in every row of the problem.

    A latent that fires on one row of 10,000 is dead on most problems of 1,000 rows: compare shares on
    the same number of rows only.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> ct.metrics.neg_dead_share(np.eye(2), ct.Problem([[1.0, 0.0], [2.0, -1.0]]))
    -0.5
    """
    return 0.0 - float((firing_rates(finding, problem) == 0).mean())


explained_variance.ceiling = 1.0  # type: ignore[attr-defined]
neg_fvu.ceiling = 0.0  # type: ignore[attr-defined]
cosine_similarity.ceiling = 1.0  # type: ignore[attr-defined]
neg_dead_share.ceiling = 0.0  # type: ignore[attr-defined]


def _square(rows: np.ndarray) -> np.ndarray:
    return np.einsum("ij,ij->i", rows, rows)


def _one_minus_ratio(means: np.ndarray) -> np.ndarray:
    return 1 - means[..., 0] / means[..., 1]


def _minus_ratio(means: np.ndarray) -> np.ndarray:
    return -means[..., 0] / means[..., 1]
