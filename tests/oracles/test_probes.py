"""The batched linear probes against scikit-learn, one converged refit per column, on ugly data."""

import doctest
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

import controls as ct
from controls.core.errors import ControlsWarning, InputError, InputTypeError
from controls.core.rng import stream
from controls.probes import LDAProbe, LogisticProbe, MeanDifferenceProbe, RidgeProbe, _folds, _space, findings, linear

DEVICES = [
    None,
    pytest.param(
        "cuda",
        marks=[pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")],
    ),
]
# name: rows, features, classes, C, noise in the labels (in standard deviations of the signal)
CASES = {
    "noise": (300, 10, 2, 1.0, 30.0),
    "signal": (400, 30, 2, 100.0, 1.0),
    "separable": (300, 10, 2, 1.0, 0.0),
    "separable, weak penalty": (200, 10, 2, 1e4, 0.0),
    "wide": (100, 250, 2, 1.0, 1.0),
    "wide, strong penalty": (100, 250, 2, 1e-4, 1.0),
    "three classes": (300, 10, 3, 1.0, 0.5),
    "five classes, wide": (90, 80, 5, 1.0, 1.0),
    "eight classes": (400, 12, 8, 1.0, 3.0),
}


@pytest.fixture(autouse=True)
def one_thread():
    """Small matrices, and perhaps other tests beside: threads would only wait for one another."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield
    torch.set_num_threads(threads)


def ugly_activations(n, d, rng):
    """Correlated columns of scales 1e-6 to 1e6 off centre; two equal, two nearly equal, one constant."""
    X = rng.normal(size=(n, d)) @ rng.normal(size=(d, d))
    X = (X + 3 * X.std(0) * rng.normal(size=d)) * 10.0 ** rng.uniform(-6, 6, size=d)
    X[:, 1] = X[:, 0]
    X[:, 2] = X[:, 0] + 1e-6 * X[:, 0].std() * rng.normal(size=n)
    X[:, 3] = 0.1
    return X


def ugly_problem(name, columns):
    """Return activations, class codes (n, columns), one split, and the parameters of a case."""
    n, d, n_classes, C, noise = CASES[name]
    rng = stream(0, "ugly", name)
    X = ugly_activations(n, d, rng)
    signal = X[:, [0, 4, 5]] / X[:, [0, 4, 5]].std(0) @ rng.normal(size=(3, columns))
    signal = signal + noise * signal.std(0) * rng.normal(size=(n, columns))
    cuts = np.quantile(signal, np.linspace(0, 1, n_classes + 1)[1:-1], axis=0)
    codes = (signal[..., None] > cuts.T).sum(-1)
    rows = rng.permutation(n)
    return X, codes, (rows[: 3 * n // 4], rows[3 * n // 4 :]), n_classes, C


def refit(model, X, labels, split):
    """Return a converged scikit-learn refit, and the test rows as it sees them."""
    pipeline = make_pipeline(StandardScaler(), model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that Hessians are ill-conditioned is what the data is for
        pipeline.fit(X[split[0]], labels[split[0]])
    return pipeline, X[split[1]]


def logistic(C):
    return LogisticRegression(C=C, tol=1e-11, max_iter=1000, solver="newton-cholesky")


def one_vs_rest_auc(truth, probabilities):
    return [roc_auc_score(truth == k, probabilities[:, k]) for k in np.unique(truth)]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", CASES)
def test_logistic_equals_refits_column_by_column(name, device):
    X, codes, split, n_classes, C = ugly_problem(name, 4)
    engine = LogisticProbe(C=C, device=device).engine(X, [split], "classification", n_classes)
    ours = engine.predict(0, codes, "probabilities").probabilities
    labels = engine.predict(0, codes, "labels").labels
    assert ours.shape == (len(split[1]), 4, n_classes)
    assert labels.dtype == np.int64
    for b in range(4):
        model, rows = refit(logistic(C), X, codes[:, b], split)
        theirs = model.predict_proba(rows)
        np.testing.assert_allclose(ours[:, b], theirs, rtol=0, atol=1e-5)
        truth = codes[split[1], b]
        np.testing.assert_allclose(one_vs_rest_auc(truth, ours[:, b]), one_vs_rest_auc(truth, theirs), atol=1e-4)
        sure = np.diff(np.sort(theirs, axis=1)[:, -2:], axis=1)[:, 0] > 1e-4
        assert sure.any()
        np.testing.assert_array_equal(labels[sure, b], model.predict(rows)[sure])


@pytest.mark.parametrize("decay", [0.0, 1.0, 2.0])
def test_rough_first_steps_end_where_scikit_learn_does(decay, monkeypatch):
    rng = stream(0, "rough", decay)
    turn = np.linalg.qr(rng.normal(size=(40, 40)))[0]
    X = ((rng.normal(size=(1200, 40)) * np.arange(1, 41) ** -decay) @ turn).astype(np.float32)
    codes = rng.integers(0, 7, size=(1200, 21))
    codes[:, 0] = (X @ rng.normal(size=(40, 7)) / X.std()).argmax(1)
    split = np.arange(1000), np.arange(1000, 1200)
    monkeypatch.setattr(_space, "has_bfloat16", lambda device: True)  # where it is slow, it is still to be right
    monkeypatch.setattr(_space, "_MOST_INFLATION", np.inf)
    engine = LogisticProbe(tol=1e-4).engine(X, [split], "classification", 7)
    assert engine._spaces[0].rough
    ours = engine.predict(0, codes, "probabilities").probabilities
    for b in range(0, 21, 5):
        model, rows = refit(logistic(1.0), X.astype(float), codes[:, b], split)
        np.testing.assert_allclose(ours[:, b], model.predict_proba(rows), rtol=0, atol=2e-3)
    few = engine.predict(0, codes[:, :3], "probabilities").probabilities
    np.testing.assert_allclose(few, ours[:, :3], rtol=0, atol=2e-3)  # whatever columns are beside
    again = engine.predict(0, codes, "probabilities").probabilities
    np.testing.assert_array_equal(again, ours)


@pytest.mark.parametrize("name", ["signal", "three classes"])
def test_scores_are_decision_functions(name):
    X, codes, split, n_classes, C = ugly_problem(name, 2)
    engine = LogisticProbe(C=C).engine(X, [split], "classification", n_classes)
    scores = engine.predict(0, codes, "scores").scores
    for b in range(2):
        model, rows = refit(logistic(C), X, codes[:, b], split)
        theirs = model.decision_function(rows)
        if n_classes > 2:  # scores of classes are defined up to a constant
            theirs = theirs - theirs.mean(1, keepdims=True)
        np.testing.assert_allclose(scores[:, b], theirs, rtol=1e-4, atol=1e-4)


def test_one_percent_of_positives():
    rng = stream(0, "imbalance")
    X = ugly_activations(2000, 20, rng)
    codes = np.zeros((2000, 3), dtype=np.int64)
    codes[:20] = 1
    codes[:, 1:] = np.stack([rng.permutation(codes[:, 0]) for _ in range(2)], 1)
    X[:20, 4] += 2 * X[:, 4].std()
    fold = np.arange(2000) % 4
    split = np.flatnonzero(fold > 0), np.flatnonzero(fold == 0)
    ours = LogisticProbe().engine(X, [split], "classification", 2).predict(0, codes, "probabilities").probabilities
    for b in range(3):
        model, rows = refit(logistic(1.0), X, codes[:, b], split)
        np.testing.assert_allclose(ours[:, b], model.predict_proba(rows), atol=1e-5)


@pytest.mark.parametrize("probe", [LogisticProbe(), RidgeProbe()])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_columns_do_not_depend_on_their_neighbours(probe, n_classes):
    rng = stream(0, "neighbours")
    X = ugly_activations(200, 15, rng)
    easy = (X[:, 0] > np.median(X[:, 0])).astype(np.int64)
    codes = np.column_stack([easy, rng.integers(0, n_classes, size=(200, 63))])
    split = np.arange(150), np.arange(150, 200)
    engine = probe.engine(X, [split], "classification", n_classes)
    together = engine.predict(0, codes, "scores").scores
    for width in (1, 7):
        parts = [engine.predict(0, codes[:, i : i + width], "scores").scores for i in range(0, 64, width)]
        np.testing.assert_allclose(np.concatenate(parts, 1), together, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("probe", [LogisticProbe(), LogisticProbe(dtype="float32"), RidgeProbe()])
@pytest.mark.parametrize(("n_classes", "d"), [(2, 10), (4, 10), (2, 200)])
def test_held_out_labels_never_matter(probe, n_classes, d):
    rng = stream(0, "held out")
    X = ugly_activations(120, d, rng)
    codes = rng.integers(0, n_classes, size=(120, 5))
    split = np.arange(90), np.arange(90, 120)
    other = codes.copy()
    other[90:] = rng.integers(0, n_classes, size=(30, 5))
    engine = probe.engine(X, [split], "classification", n_classes)
    before = engine.predict(0, codes, "scores").scores
    np.testing.assert_array_equal(engine.predict(0, other, "scores").scores, before)
    other[:90] = codes[::-1][:90]
    assert not np.array_equal(engine.predict(0, other, "scores").scores, before)


@pytest.mark.parametrize("n_classes", [0, 2, 4])
@pytest.mark.parametrize("d", [10, 200])
def test_folds_that_share_products_get_the_fits_of_folds_alone(n_classes, d):
    rng = stream(0, "products", n_classes, d)
    X = ugly_activations(120, d, rng)
    targets = 1e6 + rng.normal(size=(120, 5)) if n_classes == 0 else rng.integers(0, n_classes, size=(120, 5))
    targets.flags.writeable = False  # so that what is made of them is kept
    fold = rng.permutation(120) % 4
    splits = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(4)]
    task, needs = ("regression", "labels") if n_classes == 0 else ("classification", "scores")
    engine = RidgeProbe().engine(X, splits, task, n_classes)
    for k, split in enumerate(splits):
        alone = RidgeProbe().engine(X, [split], task, n_classes).predict(0, targets.copy(), needs)
        np.testing.assert_allclose(
            getattr(engine.predict(k, targets, needs), needs), getattr(alone, needs), rtol=1e-9, atol=1e-9
        )


def test_absent_classes_get_probability_zero():
    rng = stream(0, "absent")
    X = ugly_activations(160, 8, rng)
    three, two, one = rng.choice([0, 1, 3], size=160), rng.choice([1, 2], size=160), np.full(160, 2)
    codes = np.column_stack([three, two, rng.integers(0, 4, size=160), one])
    split = np.arange(120), np.arange(120, 160)
    codes[split[1], 1] = 3  # what held-out rows hold is not what the fit has seen
    engine = LogisticProbe().engine(X, [split], "classification", 4)
    ours = engine.predict(0, codes, "probabilities").probabilities
    for b in (0, 2):
        model, rows = refit(logistic(1.0), X, codes[:, b], split)
        np.testing.assert_allclose(ours[:, b][:, model.classes_], model.predict_proba(rows), atol=1e-5)
    assert (ours[:, 0, 2] == 0).all()
    # Two weight vectors of half the size each: the binary fit at twice the C.
    model, rows = refit(logistic(2.0), X, two, split)
    np.testing.assert_allclose(ours[:, 1, 1:3], model.predict_proba(rows), atol=1e-5)
    np.testing.assert_array_equal(ours[:, 3], np.tile([0.0, 0.0, 1.0, 0.0], (40, 1)))
    for probe in (LogisticProbe(), RidgeProbe()):
        engine = probe.engine(X, [split], "classification", 4)
        scores = engine.predict(0, codes, "scores").scores
        assert np.isfinite(scores).all()
        assert (scores[:, 0, 2] < scores[:, 0, [0, 1, 3]].min(1)).all()
        assert set(np.unique(engine.predict(0, codes, "labels").labels[:, 1])) <= {1, 2}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("alpha", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize(("n", "d"), [(300, 10), (200, 150), (80, 200)])
def test_ridge_equals_refits(n, d, alpha, device):
    rng = stream(0, "ridge", n, d)
    X = ugly_activations(n, d, rng)
    values = X[:, [4]] / X[:, 4].std() * 1e3 + 1e5 + 1e3 * rng.normal(size=(n, 5))
    rows = rng.permutation(n)
    split = rows[: n // 2], rows[n // 2 :]
    engine = RidgeProbe(alpha=alpha, device=device).engine(X, [split], "regression", 0)
    ours = engine.predict(0, values, "labels").labels
    for b in range(5):
        model, test = refit(Ridge(alpha=alpha, solver="svd"), X, values[:, b], split)
        theirs, truth = model.predict(test), values[split[1], b]
        assert abs(r2_score(truth, ours[:, b]) - r2_score(truth, theirs)) < 1e-9


@pytest.mark.parametrize("n_classes", [2, 3, 5])
@pytest.mark.parametrize("d", [12, 200])
def test_ridge_classifier_equals_refits(n_classes, d):
    rng = stream(0, "ridge classifier", n_classes)
    X = ugly_activations(160, d, rng)
    codes = rng.integers(0, n_classes, size=(160, 4))
    split = np.arange(120), np.arange(120, 160)
    engine = RidgeProbe(alpha=0.5).engine(X, [split], "classification", n_classes)
    scores, labels = engine.predict(0, codes, "scores").scores, engine.predict(0, codes, "labels").labels
    for b in range(4):
        model, test = refit(RidgeClassifier(alpha=0.5, solver="svd"), X, codes[:, b], split)
        np.testing.assert_allclose(scores[:, b], model.decision_function(test), atol=1e-8)
        np.testing.assert_array_equal(labels[:, b], model.predict(test))


def test_without_standardizing():
    rng = stream(0, "raw")
    X = rng.normal(size=(200, 6)) * [0.01, 0.1, 1, 1, 10, 3] + 5
    signal = X[:, :1] * 50 + X[:, 1:2] * 10 + rng.normal(size=(200, 1))
    codes = (signal > np.median(signal)).astype(np.int64)
    split = np.arange(150), np.arange(150, 200)
    ours = LogisticProbe(standardize=False).engine(X, [split], "classification", 2)
    model = logistic(1.0).fit(X[:150], codes[:150, 0])
    probabilities = ours.predict(0, codes, "probabilities").probabilities
    np.testing.assert_allclose(probabilities[:, 0], model.predict_proba(X[150:]), atol=1e-5)
    values = X.sum(1, keepdims=True)
    ridge = RidgeProbe(standardize=False, alpha=2.0).engine(X, [split], "regression", 0)
    expected = Ridge(alpha=2.0).fit(X[:150], values[:150, 0]).predict(X[150:])
    np.testing.assert_allclose(ridge.predict(0, values, "labels").labels[:, 0], expected, rtol=1e-9)


@pytest.mark.parametrize(("d", "n_classes"), [(8, 2), (8, 4), (150, 2), (150, 3)])
def test_fitted_logistic_is_the_minimum_and_predicts_like_scikit_learn(d, n_classes):
    rng = stream(0, "finding", d, n_classes)
    X = ugly_activations(100, d, rng)
    labels = np.array(["a", "b", "c", "d"])[rng.integers(0, n_classes, size=100)]
    finding = LogisticProbe(C=0.5).fit(ct.Problem(X, labels), rng)
    model, _ = refit(logistic(0.5), X, labels, (np.arange(100), np.arange(100)))
    np.testing.assert_array_equal(finding.classes_, model.classes_)
    assert finding.coef_.shape == model[-1].coef_.shape
    assert finding.intercept_.shape == model[-1].intercept_.shape
    np.testing.assert_allclose(finding.predict_proba(X), model.predict_proba(X), atol=1e-5)
    np.testing.assert_allclose(finding.decision_function(X), model.decision_function(X), atol=1e-4)
    np.testing.assert_array_equal(finding.predict(X), model.predict(X))
    # Stationarity, by the formula: the intercept's and the weights' derivatives vanish.
    scaler = StandardScaler().fit(X)
    hot = labels[:, None] == finding.classes_
    residual = (finding.predict_proba(X) - hot)[:, -len(finding.coef_) :]
    weights = finding.coef_ * scaler.scale_
    assert np.abs(residual.sum(0)).max() < 1e-4
    np.testing.assert_allclose(0.5 * residual.T @ scaler.transform(X), -weights, atol=1e-4)


def test_fitted_ridge_predicts_like_scikit_learn():
    rng = stream(0, "ridge finding")
    for d in (8, 150):
        X = ugly_activations(100, d, rng)
        values, labels = rng.normal(size=100) * 7 + 100, rng.integers(3, 6, size=100)
        all_rows = np.arange(100), np.arange(100)
        model, _ = refit(Ridge(alpha=1.0, solver="svd"), X, values, all_rows)
        finding = RidgeProbe().fit(ct.Problem(X, values), rng)
        np.testing.assert_allclose(finding.predict(X), model.predict(X), rtol=1e-8)
        for kept in (labels, labels > 4):
            model, _ = refit(RidgeClassifier(alpha=1.0, solver="svd"), X, kept, all_rows)
            classifier = RidgeProbe().fit(ct.Problem(X, kept), rng)
            np.testing.assert_allclose(classifier.decision_function(X), model.decision_function(X), atol=1e-7)
            np.testing.assert_array_equal(classifier.predict(X), model.predict(X))


@pytest.mark.parametrize("n_classes", [2, 6])
def test_float32_scores_within_its_tolerance(n_classes):
    rng = stream(0, "float32", n_classes)
    X = rng.normal(size=(1200, 40)).astype(np.float32)
    codes = rng.integers(0, n_classes, size=(1200, 6))
    codes[:, 0] = np.clip(np.round(X[:, :4].sum(1) + n_classes / 2), 0, n_classes - 1)
    split = np.arange(900), np.arange(900, 1200)
    got = {}
    for dtype in ("float32", "float64"):
        engine = LogisticProbe(dtype=dtype).engine(X, [split], "classification", n_classes)
        probabilities = engine.predict(0, codes, "probabilities").probabilities
        got[dtype] = np.array([one_vs_rest_auc(codes[split[1], b], probabilities[:, b]) for b in range(6)])
        assert probabilities.dtype == np.float64
    assert (
        np.abs(got["float32"] - got["float64"]).max()
        <= LogisticProbe(dtype="float32").engine(X, [split], "classification", n_classes).tolerance
    )


@pytest.mark.parametrize("probe", [LogisticProbe(), RidgeProbe(), LDAProbe(), MeanDifferenceProbe()])
def test_folds_are_the_same_when_only_the_latest_is_kept(probe, monkeypatch):
    rng = stream(0, "folds")
    X = ugly_activations(90, 6, rng)
    codes = rng.integers(0, 2, size=(90, 3))
    fold = np.arange(90) % 3
    splits = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(3)]
    order = [0, 1, 2, 0, 2]
    kept = probe.engine(X, splits, "classification", 2)
    first = [kept.predict(k, codes, "scores").scores for k in order]
    monkeypatch.setattr(_folds, "_KEPT_BYTES", 0)
    latest = probe.engine(X, splits, "classification", 2)
    for k, scores in zip(order, first, strict=True):
        np.testing.assert_array_equal(latest.predict(k, codes, "scores").scores, scores)


def test_the_callers_objects_stay_as_they_are():
    rng = stream(0, "caller")
    X = np.asfortranarray(ugly_activations(80, 6, rng)[::-1])
    X.flags.writeable = False
    labels = rng.integers(0, 2, size=80)
    copies, state = (X.copy(), labels.copy()), str(rng.bit_generator.state)
    torch_state = torch.random.get_rng_state()
    for probe in (LogisticProbe(), RidgeProbe()):
        first, second = probe.fit(ct.Problem(X, labels), rng), probe.fit(ct.Problem(X, labels), rng)
        np.testing.assert_array_equal(first.coef_, second.coef_)
    np.testing.assert_array_equal(X, copies[0])
    np.testing.assert_array_equal(labels, copies[1])
    assert str(rng.bit_generator.state) == state
    assert torch.equal(torch.random.get_rng_state(), torch_state)


def test_columns_that_do_not_converge_are_counted():
    rng = stream(0, "warn")
    X = rng.normal(size=(60, 5))
    codes = rng.integers(0, 2, size=(60, 4))
    engine = LogisticProbe(max_iter=1).engine(X, [(np.arange(40), np.arange(40, 60))], "classification", 2)
    with pytest.warns(ControlsWarning, match=r"4 of 4 label columns did not converge in max_iter=1"):
        engine.predict(0, codes, "scores")


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: LogisticProbe(C=0), InputError, "C must be above 0"),
        (lambda: LogisticProbe(C="1"), InputTypeError, "C must be a number"),
        (lambda: LogisticProbe(tol=-1e-3), InputError, "tol must be"),
        (lambda: LogisticProbe(max_iter=0), InputError, "max_iter must be at least 1"),
        (lambda: LogisticProbe(dtype="float16"), InputError, "dtype must be one of"),
        (lambda: RidgeProbe(alpha=0.0), InputError, "alpha must be above 0"),
        (lambda: RidgeProbe(standardize=1), InputTypeError, "standardize must be True or False"),
        (lambda: RidgeProbe(device=0), InputTypeError, "device must be"),
    ],
)
def test_parameters_are_checked_at_construction(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_problems_that_cannot_be_fitted_are_refused():
    rng = stream(0, "refused")
    X = rng.normal(size=(20, 3))
    split = [(np.arange(10), np.arange(10, 20))]
    with pytest.raises(InputError, match="labels must be classes"):
        LogisticProbe().fit(ct.Problem(X, rng.normal(size=20)), rng)
    with pytest.raises(InputError, match="labels must be classes"):
        RidgeProbe().fit(ct.Problem(X), rng)
    with pytest.raises(InputError, match="at least two classes"):
        LogisticProbe().fit(ct.Problem(X, np.ones(20, dtype=int)), rng)
    with pytest.raises(InputError, match="classification"):
        LogisticProbe().engine(X, split, "regression", 0)
    with pytest.raises(InputError, match="probabilities"):
        RidgeProbe().engine(X, split, "classification", 2).predict(0, np.ones((20, 1), dtype=int), "probabilities")
    with pytest.raises(InputError, match="device must be"):
        RidgeProbe(device="no such device").engine(X, split, "classification", 2)
    with pytest.raises(InputError, match="X must have the 3 features"):
        LogisticProbe().fit(ct.Problem(X, X[:, 0] > 0), rng).predict(X[:, :2])


def test_importing_probes_loads_no_torch():
    code = "import sys, controls.probes; sys.exit('torch' in sys.modules or 'sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("module", [linear, findings])
def test_examples(module):
    assert doctest.testmod(module).failed == 0
