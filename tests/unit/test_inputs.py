"""Sparse, memory-mapped and polars activations: the same results as dense ones, and no copy of the whole."""

from __future__ import annotations

import tracemalloc

import numpy as np
import polars as pl
import pytest
import torch
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import controls as ct
from controls.core.arrays import is_mapped
from controls.core.errors import InputError, TrainerError
from controls.core.key import content_key
from controls.core.rng import stream

SHUFFLE = [ct.ShuffleLabels(within="document")]


def features(n=80, d=12, seed=0):
    """Mostly zeros, as sparse autoencoders give."""
    rng = stream(seed, "features")
    y = rng.integers(0, 2, n)
    X = np.where(rng.random((n, d)) < 0.2, rng.exponential(size=(n, d)), 0.0)
    X[:, 0] = np.where(y == 1, X[:, 0] + (rng.random(n) < 0.5), X[:, 0])
    return X, y, {"document": np.arange(n) // 8}


def measured(trainer, X, y, groups, **settings):
    problem = ct.Problem(X, y, groups=groups, unit="document")
    return ct.measure(trainer, problem, controls=SHUFFLE, draws=19, **{"scoring": "roc_auc", **settings})


def in_scipy_formats():
    X, _, _ = features()
    rows, columns = X.nonzero()
    twice = sparse.coo_array((np.tile(X[rows, columns] / 2, 2), (np.tile(rows, 2), np.tile(columns, 2))), shape=X.shape)
    shuffled = sparse.csr_array(X)
    for i in range(len(X)):
        part = slice(shuffled.indptr[i], shuffled.indptr[i + 1])
        shuffled.indices[part], shuffled.data[part] = (
            shuffled.indices[part][::-1].copy(),
            shuffled.data[part][::-1].copy(),
        )
    shuffled.has_sorted_indices = shuffled.has_canonical_format = False
    return {
        "csr_matrix": sparse.csr_matrix(X),
        "csr_array": sparse.csr_array(X),
        "csc": sparse.csc_matrix(X),
        "coo, places twice": twice,
        "lil": sparse.lil_matrix(X),
        "csr, out of order": shuffled,
    }


FORMATS = in_scipy_formats()


@pytest.mark.parametrize("name", FORMATS)
def test_sparse_activations_are_kept_by_rows_and_the_callers_stay(name):
    X, y, _ = features()
    given = FORMATS[name]
    before = given.copy()
    problem = ct.Problem(given, y)
    assert problem.X.format == "csr"
    assert problem.X.has_canonical_format
    assert (problem.n, problem.d) == X.shape
    np.testing.assert_array_equal(problem.X.toarray(), X)
    with pytest.raises(ValueError, match="read-only"):
        problem.X.data[0] = 1.0
    assert type(given) is type(before)
    assert given.nnz == before.nnz
    np.testing.assert_array_equal(given.toarray(), before.toarray())
    rows = np.array([5, 2, 2, 79])
    np.testing.assert_array_equal(problem.take(rows).X.toarray(), X[rows])
    assert content_key(problem.X) == content_key(ct.Problem(sparse.csr_matrix(X), y).X)


def test_csr_is_not_copied():
    given = FORMATS["csr_matrix"]
    assert np.shares_memory(ct.Problem(given).X.data, given.data)
    assert given.data.flags.writeable
    assert content_key(given) != content_key(2 * given)


@pytest.mark.parametrize("dtype", [np.float32, np.int64, bool])
def test_sparse_numbers_become_floating(dtype):
    X = (features()[0] > 0).astype(dtype)
    found = ct.Problem(sparse.csr_array(X)).X
    assert found.dtype == (np.float32 if dtype == np.float32 else np.float64)
    np.testing.assert_array_equal(found.toarray(), X)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_sparse_values_that_are_not_finite_are_found(value):
    X = features()[0]
    X[7, 3] = X[9, 1] = value
    words = "activations must be finite, got 2 NaN or infinite values, the first at row 7, column 3; drop"
    for kind in (sparse.csr_matrix, sparse.csc_array, sparse.coo_matrix):
        with pytest.raises(InputError, match=words):
            ct.Problem(kind(X))


@pytest.mark.parametrize(
    "trainer",
    [
        ct.probes.LogisticProbe(),
        ct.probes.RidgeProbe(),
        ct.probes.LDAProbe(),
        ct.probes.MeanDifferenceProbe(),
        ct.probes.TorchTrainer(torch.nn.Linear, epochs=2),
        make_pipeline(StandardScaler(with_mean=False), LogisticRegression()),
    ],
    ids=lambda t: type(t).__name__,
)
def test_sparse_scores_are_those_of_dense(trainer):
    X, y, groups = features()
    dense, thin = (measured(trainer, kind(X), y, groups) for kind in (np.asarray, sparse.csr_matrix))
    assert thin.score == pytest.approx(dense.score, abs=1e-6)
    np.testing.assert_allclose(thin.comparisons[0].control_scores, dense.comparisons[0].control_scores, atol=1e-6)


def test_functions_get_sparse_rows_and_predict_from_them():
    X, y, groups = features()
    seen = []

    def by_first(X, y):
        seen.append(X.format)
        return lambda rows: (rows[:, [0]].toarray()[:, 0] > 0.5).astype(int)

    result = measured(by_first, sparse.csr_matrix(X), y, groups, scoring="accuracy", key="by_first")
    assert set(seen) == {"csr"}
    assert result.score == pytest.approx(((X[:, 0] > 0.5) == y).mean(), abs=1e-9)


def test_what_an_estimator_cannot_do_with_sparse_rows_is_said():
    X, y, groups = features()
    with pytest.raises(TrainerError, match="with_mean=False"):
        measured(make_pipeline(StandardScaler(), LogisticRegression()), sparse.csr_matrix(X), y, groups)


def test_sparse_findings_and_sites():
    X, y, groups = features()
    finding = ct.probes.LogisticProbe().fit(ct.Problem(sparse.csr_matrix(X), y), stream(0))
    np.testing.assert_allclose(finding.predict_proba(sparse.csr_matrix(X)), finding.predict_proba(X))
    layers = ct.Problem({"dense": X, "sparse": sparse.csr_matrix(X)}, y, groups=groups, unit="document")
    swept = ct.sweep(ct.probes.RidgeProbe(), layers, controls=SHUFFLE, draws=19, scoring="roc_auc")
    assert swept.results["sparse"].score == pytest.approx(swept.results["dense"].score)
    assert layers.at("sparse").X.format == "csr"


def test_the_test_kits_take_sparse_problems():
    X, y, groups = features()
    problem = ct.Problem(sparse.csr_matrix(X), y, groups=groups, unit="document")
    ct.testing.check_trainer(ct.probes.LDAProbe(), problem)
    ct.testing.check_control(ct.ShuffleLabels(within="document"), problem)


# -- memory-mapped ------------------------------------------------------------------------------------


@pytest.fixture
def mapped(tmp_path):
    def make(X):
        np.save(tmp_path / "X.npy", X)
        return np.load(tmp_path / "X.npy", mmap_mode="r")

    return make


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int8])
def test_memory_mapped_activations_stay_in_their_file(mapped, dtype, monkeypatch):
    monkeypatch.setattr("controls.core.validate._CHUNK", 1 << 16)
    n, d = 20_000, 100
    X = mapped(stream(0, "mapped").integers(-9, 9, size=(n, d)).astype(dtype))
    y = np.arange(n) % 2
    tracemalloc.start()
    try:
        problem = ct.Problem(X, y)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < X.nbytes / 3
    assert np.shares_memory(problem.X, X)
    assert is_mapped(problem.X)
    assert problem.X.dtype == dtype
    taken = problem.take(np.arange(5)).X
    assert taken.dtype == {2: np.float32, 1: np.float64}.get(np.dtype(dtype).itemsize, dtype)
    assert not is_mapped(taken)
    np.testing.assert_array_equal(taken, X[:5])


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_memory_mapped_scores_are_those_of_the_same_numbers_in_memory(mapped, dtype):
    X, y, groups = features()
    X = X.astype(dtype)
    for trainer in (ct.probes.RidgeProbe(), LogisticRegression()):
        a, b = (measured(trainer, activations, y, groups) for activations in (mapped(X), X))
        assert a.score == b.score
        np.testing.assert_array_equal(a.comparisons[0].control_scores, b.comparisons[0].control_scores)


def test_memory_mapped_nan_is_found(mapped):
    X = features()[0].astype(np.float16)
    X[40, 2] = np.nan
    with pytest.raises(InputError, match="got 1 NaN or infinite value, the first at row 40, column 2"):
        ct.Problem(mapped(X))


def test_polars_scores_are_those_of_numpy():
    X, y, groups = features()
    frame = pl.DataFrame(X, schema=[f"f{i}" for i in range(X.shape[1])])
    named = {"document": pl.Series(groups["document"])}
    as_vectors = pl.DataFrame({"vector": X.tolist()})
    expected = measured(ct.probes.RidgeProbe(), X, y, groups)
    for activations in (frame, as_vectors):
        found = measured(ct.probes.RidgeProbe(), activations, pl.Series(y), named)
        assert found.score == expected.score
