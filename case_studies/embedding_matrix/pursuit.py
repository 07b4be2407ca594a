"""A dictionary of rows that count by their frequency, its codes by basis pursuit, and what they miss."""

from __future__ import annotations

import warnings

import numpy as np

import controls as ct
from case_studies.embedding_matrix.embeddings import Embedding
from case_studies.embedding_matrix.plan import Pursuit

_SCORED = 3  # every third token by frequency is scored, the others train


def scores(embedding: Embedding, plan: Pursuit, rng: np.random.Generator) -> dict[str, float]:
    """Return the errors at each number of active atoms, and the geometry of the dictionary.

    Parameters
    ----------
    embedding : Embedding
        Rows count by their frequency, in training and in the error.
    plan : Pursuit
    rng : numpy.random.Generator

    Returns
    -------
    dict of str to float
        "error 4", say, is the weighted squared error of tokens that the dictionary was not trained on, with 4 active
        atoms each, over that of the training rows' mean.
    """
    weights = embedding.counts.astype(np.float64)
    scored = np.arange(len(weights)) % _SCORED == 0
    rows, weights_of_rows = embedding.rows[~scored], weights[~scored] / weights[~scored].sum()
    mean = weights_of_rows @ rows
    scale = float(np.sqrt(weights_of_rows @ np.square(rows - mean).sum(axis=1)))
    atoms = _dictionary((rows - mean) / scale, weights_of_rows, plan, rng)
    left = _missed((embedding.rows[scored] - mean) / scale, atoms, plan.active)
    whole = np.square(embedding.rows[scored] - mean).sum(axis=1) / scale**2
    errors = weights[scored] @ left / (weights[scored] @ whole)
    return {f"error {k}": float(e) for k, e in zip(plan.active, errors, strict=True)} | _geometry(atoms)


def _dictionary(rows: np.ndarray, weights: np.ndarray, plan: Pursuit, rng: np.random.Generator) -> np.ndarray:
    """Return atoms of length 1, shape (m, d), trained on mini-batches drawn by weight."""
    from sklearn.decomposition import MiniBatchDictionaryLearning
    from sklearn.exceptions import ConvergenceWarning

    learner = MiniBatchDictionaryLearning(
        plan.atoms,
        alpha=plan.penalty,  # type: ignore[reportArgumentType]
        batch_size=plan.batch,
        fit_algorithm="cd",
        dict_init=_starts(rows, weights, plan.atoms, rng),
        random_state=int(rng.integers(1 << 31)),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # codes on the way need not be exact
        for _ in range(plan.steps):
            learner.partial_fit(rows[rng.choice(len(rows), plan.batch, p=weights)])
    atoms = learner.components_
    return atoms / np.maximum(np.linalg.norm(atoms, axis=1, keepdims=True), 1e-12)


def _starts(rows: np.ndarray, weights: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return different rows, drawn by weight, of length 1: no atom starts where no row is."""
    order = np.argsort(rng.exponential(size=len(rows)) / weights)
    chosen = rows[order[:count]]
    return chosen / np.maximum(np.linalg.norm(chosen, axis=1, keepdims=True), 1e-12)


def _missed(rows: np.ndarray, atoms: np.ndarray, active: tuple[int, ...]) -> np.ndarray:
    """Return the squared error of each row with so many active atoms, shape (n, number of ``active``).

    Basis pursuit denoising is followed by falling penalty, knot by knot (LARS with drops). Of the knots with at most k
    active atoms, the one with the least error counts.
    """
    from sklearn.linear_model import lars_path_gram

    gram, found = atoms @ atoms.T, []
    for row in rows:
        path = lars_path_gram(atoms @ row, gram, n_samples=1, max_iter=2 * active[-1], method="lasso")[-1]
        errors, counts = np.square(row[:, None] - atoms.T @ path).sum(axis=0), (path != 0).sum(axis=0)
        found.append([errors[counts <= k].min() for k in active])
    return np.array(found)


def _geometry(atoms: np.ndarray) -> dict[str, float]:
    return {
        "neighbour": ct.metrics.NeighbourCosine(absolute=True)(atoms),
        "participation": ct.metrics.participation_ratio(atoms),
        "rank": ct.metrics.effective_rank(atoms),
        "clusters": ct.metrics.ClusterScore()(atoms),
        "circle": ct.metrics.CircleScore()(atoms),
    }
