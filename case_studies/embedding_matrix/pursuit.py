"""A dictionary of rows that count by their frequency, its codes by basis pursuit, and what they miss."""

from __future__ import annotations

import warnings

import numpy as np

import controls as ct
from case_studies.embedding_matrix.embeddings import Embedding
from case_studies.embedding_matrix.plan import Pursuit

WAYS = ("error", "refit")  # codes of basis pursuit, and least squares on their atoms
SCORED = 3  # every third token by frequency is scored, the others train


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
        "error 4", say, is the weighted squared error of tokens that the dictionary was not trained on, over that of the
        training rows' mean, with the codes of 4 active atoms each that basis pursuit gives; "refit 4" is that of
        least squares on the same atoms, since the penalty shrinks codes.
    """
    weights = embedding.counts.astype(np.float64)
    scored = np.arange(len(weights)) % SCORED == 0
    rows, weights_of_rows = embedding.rows[~scored], weights[~scored] / weights[~scored].sum()
    mean = weights_of_rows @ rows
    scale = float(np.sqrt(weights_of_rows @ np.square(rows - mean).sum(axis=1)))
    atoms = _dictionary((rows - mean) / scale, weights_of_rows, plan, rng)
    left = _missed((embedding.rows[scored] - mean) / scale, atoms, plan.active)
    whole = np.square(embedding.rows[scored] - mean).sum(axis=1) / scale**2
    shares = np.einsum("n,nwk->wk", weights[scored], left) / (weights[scored] @ whole)
    by_way = {way: dict(zip(plan.active, row.tolist(), strict=True)) for way, row in zip(WAYS, shares, strict=True)}
    return {f"{way} {k}": error for way, row in by_way.items() for k, error in row.items()} | _geometry(atoms)


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
    """Return the squared error of each row with so many active atoms, shape (n, 2, number of ``active``).

    Basis pursuit denoising is followed by falling penalty, knot by knot (LARS with drops). Of the knots with at most k
    active atoms, the one with the least error counts: by its own codes, and by least squares on its atoms.
    """
    gram, found = atoms @ atoms.T, []
    for row in rows:
        path = _path(atoms @ row, gram, 2 * active[-1])
        errors, counts = np.square(row[:, None] - atoms.T @ path).sum(axis=0), (path != 0).sum(axis=0)
        best = [int(np.where(counts <= k, errors, np.inf).argmin()) for k in active]
        refitted = [_least_squares(row, atoms[path[:, knot] != 0]) for knot in best]
        found.append((errors[best], refitted))
    return np.array(found)


def _path(inner: np.ndarray, gram: np.ndarray, knots: int) -> np.ndarray:
    """Return the codes of a row at the first knots of its path, shape (m, knots)."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import lars_path_gram

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # of an active atom's copy, which is left out
        return lars_path_gram(inner, gram, n_samples=1, max_iter=knots, method="lasso")[-1]


def _least_squares(row: np.ndarray, atoms: np.ndarray) -> float:
    """Return the squared error of a row by least squares on some atoms."""
    return float(np.square(row - atoms.T @ np.linalg.lstsq(atoms.T, row, rcond=None)[0]).sum())


def _geometry(atoms: np.ndarray) -> dict[str, float]:
    return {
        "neighbour": ct.metrics.NeighbourCosine(absolute=True)(atoms),
        "participation": ct.metrics.participation_ratio(atoms),
        "rank": ct.metrics.effective_rank(atoms),
        "clusters": ct.metrics.ClusterScore()(atoms),
        "circle": ct.metrics.CircleScore()(atoms),
    }
