"""Difference of means and linear discriminants against scikit-learn, one fit per column, on ugly data."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import controls as ct
from controls.core.errors import InputError
from controls.core.rng import stream
from controls.probes import LDAProbe, MeanDifferenceProbe

COLUMNS = 5
pytestmark = pytest.mark.filterwarnings("ignore:self.within_class_std_dev_")  # a constant column is part of the data
# name: rows, features, shares of the classes
CASES = {
    "balanced": (160, 8, (0.5, 0.5)),
    "rare": (200, 12, (0.95, 0.05)),
    "wide": (60, 150, (0.6, 0.4)),
    "four classes": (220, 9, (0.5, 0.3, 0.15, 0.05)),
    "four classes, wide": (70, 90, (0.4, 0.3, 0.2, 0.1)),
}


def ugly(name, *, missing=False):
    """Scales from 1e-5 to 1e5 off centre, a column twice, one nearly twice, one constant; unequal classes."""
    n, d, shares = CASES[name]
    rng = stream(0, "centroids", name)
    codes = np.stack([rng.choice(len(shares), n, p=shares) for _ in range(COLUMNS)], axis=1)
    codes[: 2 * len(shares)] = (np.arange(2 * len(shares)) % len(shares))[:, None]
    X = rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + codes[:, :3] @ rng.normal(size=(3, d)) * d**0.5
    X = (X + 3 * X.std(axis=0) * rng.normal(size=d)) * 10.0 ** rng.uniform(-5, 5, size=d)
    X[:, 1] = X[:, 0]
    X[:, 2] = X[:, 0] + 1e-3 * X[:, 0].std() * rng.normal(size=n)
    X[:, 3] = 0.1
    rows = rng.permutation(np.arange(2 * len(shares), n))
    held = rows[: n // 4]
    train = np.setdiff1d(np.arange(n), held)
    if missing:
        codes[train, 0] = np.where(codes[train, 0] == len(shares) - 1, 0, codes[train, 0])
    return X, codes, (train, held), len(shares)


def lda(shrinkage):
    return LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage)


def centred(scores):
    return scores if scores.ndim == 1 else scores - scores.mean(axis=1, keepdims=True)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("shrinkage", [0.02, 0.5, 1.0])
@pytest.mark.parametrize("standardize", [True, False])
def test_lda_equals_sklearn_column_by_column(name, shrinkage, standardize):
    X, codes, split, n_classes = ugly(name)
    X = (
        X if standardize else X / np.where(np.ptp(X, axis=0) > 0, X.std(axis=0), 1)
    )  # sklearn's own solver loses digits on raw scales
    engine = LDAProbe(shrinkage=shrinkage, standardize=standardize).engine(X, [split], "classification", n_classes)
    labels, scores, probabilities = (engine.predict(0, codes, needs) for needs in ("labels", "scores", "probabilities"))
    for b in range(COLUMNS):
        model = make_pipeline(*([StandardScaler()] if standardize else []), lda(shrinkage))
        model.fit(X[split[0]], codes[split[0], b])
        theirs = model.decision_function(X[split[1]])
        size = np.abs(centred(theirs)).max()
        np.testing.assert_allclose(centred(scores.scores[:, b]), centred(theirs), rtol=1e-6, atol=1e-7 * size)
        np.testing.assert_allclose(probabilities.probabilities[:, b], model.predict_proba(X[split[1]]), atol=1e-6)
        np.testing.assert_array_equal(labels.labels[:, b], model.predict(X[split[1]]))


@pytest.mark.parametrize("name", ["balanced", "rare", "four classes"])
def test_lda_without_shrinkage_does_not_mind_columns_twice(name):
    X, codes, split, n_classes = ugly(name)
    engine = LDAProbe(shrinkage=0).engine(X, [split], "classification", n_classes)
    ours = engine.predict(0, codes, "probabilities").probabilities
    plain = np.delete(X, [1, 3], axis=1)  # the same space, without what is there twice or constant
    for b in range(COLUMNS):
        model = make_pipeline(StandardScaler(), lda(None)).fit(plain[split[0]], codes[split[0], b])
        np.testing.assert_allclose(ours[:, b], model.predict_proba(plain[split[1]]), atol=1e-6)


def test_lda_without_shrinkage_does_not_mind_scales():
    X, codes, split, n_classes = ugly("four classes")  # scales from 1e-5 to 1e5
    raw, standard = (
        LDAProbe(shrinkage=0, standardize=standardize).engine(X, [split], "classification", n_classes)
        for standardize in (False, True)
    )
    for needs in ("labels", "probabilities"):
        a, b = (getattr(engine.predict(0, codes, needs), needs) for engine in (raw, standard))
        np.testing.assert_allclose(a, b, atol=1e-9)
    model = make_pipeline(StandardScaler(), lda(None)).fit(np.delete(X, [1, 3], 1)[split[0]], codes[split[0], 0])
    theirs = model.predict_proba(np.delete(X, [1, 3], 1)[split[1]])
    np.testing.assert_allclose(raw.predict(0, codes, "probabilities").probabilities[:, 0], theirs, atol=1e-6)


def test_lda_direction_of_two_classes_is_that_of_least_squares():
    X, codes, _, _ = ugly("balanced")
    X = np.delete(X, [1, 3], axis=1)
    finding = LDAProbe(shrinkage=0).fit(ct.Problem(X, codes[:, 0]), stream(0))
    Z = StandardScaler().fit_transform(X)
    slope = np.linalg.lstsq(Z, codes[:, 0] - codes[:, 0].mean(), rcond=None)[0] / X.std(axis=0)
    along = finding.coef_[0] / slope
    np.testing.assert_allclose(along / along[0], 1.0, rtol=1e-6)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("standardize", [True, False])
def test_mean_difference_equals_nearest_centroid(name, standardize):
    X, codes, split, n_classes = ugly(name)
    engine = MeanDifferenceProbe(standardize=standardize).engine(X, [split], "classification", n_classes)
    labels, scores = engine.predict(0, codes, "labels").labels, engine.predict(0, codes, "scores").scores
    for b in range(COLUMNS):
        model = make_pipeline(*([StandardScaler()] if standardize else []), NearestCentroid())
        model.fit(X[split[0]], codes[split[0], b])
        np.testing.assert_array_equal(labels[:, b], model.predict(X[split[1]]))
        rows = model[:-1].transform(X[split[1]]) if standardize else X[split[1]]
        far = ((rows[:, None] - model[-1].centroids_) ** 2).sum(axis=2)
        expected = (far[:, 0] - far[:, 1]) / 2 if n_classes == 2 else centred(-far / 2)
        np.testing.assert_allclose(centred(scores[:, b]), expected, rtol=1e-7, atol=1e-9 * np.abs(far).max())


@pytest.mark.parametrize("probe", [LDAProbe(), MeanDifferenceProbe(standardize=True)], ids=["lda", "means"])
@pytest.mark.parametrize("name", ["four classes", "four classes, wide"])
def test_a_class_missing_among_training_rows_is_never_predicted(probe, name):
    X, codes, split, n_classes = ugly(name, missing=True)
    engine = probe.engine(X, [split], "classification", n_classes)
    labels, scores = engine.predict(0, codes, "labels").labels, engine.predict(0, codes, "scores").scores
    oracle = lda(0.1) if isinstance(probe, LDAProbe) else NearestCentroid()
    model = make_pipeline(StandardScaler(), oracle).fit(X[split[0]], codes[split[0], 0])
    assert len(model.classes_) == n_classes - 1
    np.testing.assert_array_equal(labels[:, 0], model.predict(X[split[1]]))
    assert (scores[:, 0, -1] < scores[:, 0, :-1].min()).all()
    if isinstance(probe, LDAProbe):
        probabilities = engine.predict(0, codes, "probabilities").probabilities[:, 0]
        np.testing.assert_allclose(probabilities[:, :-1], model.predict_proba(X[split[1]]), atol=1e-6)
        assert (probabilities[:, -1] == 0).all()


@pytest.mark.parametrize("probe", [LDAProbe(), MeanDifferenceProbe(standardize=True)], ids=["lda", "means"])
def test_float32_ranks_rows_as_float64(probe):
    X, codes, split, _ = ugly("rare")
    single = type(probe)(standardize=True, dtype="float32").engine(X, [split], "classification", 2)
    double = probe.engine(X, [split], "classification", 2)
    for b in range(COLUMNS):
        areas = [
            roc_auc_score(codes[split[1], b], e.predict(0, codes, "scores").scores[:, b]) for e in (single, double)
        ]
        assert abs(areas[0] - areas[1]) < 1e-3


def test_classes_that_do_not_vary_are_told_apart_by_what_they_do_not_vary_in():
    rng = stream(0, "separable")
    codes = rng.integers(0, 2, 80)
    X = np.column_stack([codes * 1.0, rng.normal(size=(80, 3))])
    engine = LDAProbe(shrinkage=0).engine(X, [(np.arange(60), np.arange(60, 80))], "classification", 2)
    np.testing.assert_array_equal(engine.predict(0, codes[:, None], "labels").labels[:, 0], codes[60:])
    scores = engine.predict(0, codes[:, None], "scores").scores
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("shape", [(40, 3), (40, 50)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rows_that_are_all_the_same_leave_the_shares_of_the_classes(shape, dtype):
    rng = stream(0, "constant")
    X, codes, split = (
        np.full(shape, 0.1, dtype=dtype),
        rng.integers(0, 2, size=(40, 3)),
        (np.arange(30), np.arange(30, 40)),
    )
    X[split[1]] = rng.normal(size=(10, shape[1]))
    shares = codes[:30].mean(axis=0)
    for probe in (LDAProbe(), LDAProbe(shrinkage=1.0), LDAProbe(standardize=False)):
        scores = probe.engine(X, [split], "classification", 2).predict(0, codes, "scores").scores
        np.testing.assert_allclose(scores, np.tile(np.log(shares / (1 - shares)), (10, 1)), rtol=1e-3)
    assert (MeanDifferenceProbe().engine(X, [split], "classification", 2).predict(0, codes, "scores").scores == 0).all()


def test_bad_parameters_and_problems_are_one_sentence():
    with pytest.raises(InputError, match=r"shrinkage must be between 0 and 1, got 1\.5"):
        LDAProbe(shrinkage=1.5)
    X, y = stream(0, "wide").normal(size=(20, 30)), np.arange(20) % 2
    problem = ct.Problem(X, y)
    with pytest.raises(InputError, match=r"training rows \(16\) are fewer than features and classes together"):
        ct.measure(LDAProbe(shrinkage=0), problem, controls=[ct.ShuffleLabels()], draws=9)
    with pytest.raises(InputError, match="MeanDifferenceProbe is for classification"):
        MeanDifferenceProbe().engine(X, [], "regression", 0)
    with pytest.raises(InputError, match="predicts labels and scores"):
        MeanDifferenceProbe().engine(X, [(np.arange(9), np.arange(9, 20))], "classification", 2).predict(
            0, y[:, None], "probabilities"
        )


def test_a_study_with_each_probe_scores_what_its_one_by_one_twin_scores():
    rng = stream(0, "study")
    y = rng.integers(0, 2, 60)
    X = rng.normal(size=(60, 4)) + 0.7 * y[:, None]
    problem = ct.Problem(X, y)
    twins = [
        (LDAProbe(shrinkage=0.1), make_pipeline(StandardScaler(), lda(0.1)), "roc_auc"),
        (MeanDifferenceProbe(), NearestCentroid(), "accuracy"),
    ]
    for ours, theirs, scoring in twins:
        a, b = (
            ct.measure(t, problem, controls=[ct.ShuffleLabels()], scoring=scoring, draws=12) for t in (ours, theirs)
        )
        assert a.score == pytest.approx(b.score, abs=1e-12)
        np.testing.assert_allclose(a.comparisons[0].control_scores, b.comparisons[0].control_scores, atol=1e-12)
