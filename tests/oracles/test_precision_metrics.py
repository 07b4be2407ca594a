"""Average precision, F1 and correlation against scikit-learn and scipy, with and without each unit."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

import controls as ct
from controls.core.errors import InputError
from controls.core.rng import stream
from controls.core.trainer import Output
from controls.metrics import F1, AveragePrecision, F1Macro, PearsonR, resolve

NAN = float("nan")
SEEDS = range(2)


def units_of(kind, m, rng):
    """Units of every shape: rows, one that holds most, a few, and numbers without rows between them."""
    if kind == "rows":
        return rng.permutation(m)
    if kind == "geometric":
        return np.unique(np.minimum(rng.geometric(0.25, m), 12), return_inverse=True)[1]
    if kind == "one large":
        return np.where(rng.random(m) < 0.7, 0, rng.integers(1, 15, m))
    return 3 * rng.integers(0, max(2, m // 3), m)


def classes_case(seed, n_classes, kind):
    rng = stream(seed, "precision", n_classes, kind)
    m, columns = int(rng.integers(20, 60)), 3
    truth = np.stack([rng.choice(n_classes, m, p=rng.dirichlet(np.full(n_classes, 0.7))) for _ in range(columns)], 1)
    truth[: n_classes * 2] = (np.arange(n_classes * 2) % n_classes)[:, None]
    logits = np.round(rng.normal(size=(m, columns, n_classes)) * 2 + np.eye(n_classes)[truth], 0)
    scores = logits[:, :, 1] - logits[:, :, 0] if n_classes == 2 else logits
    labels = np.where(rng.random((m, columns)) < 0.6, truth, rng.integers(0, n_classes, (m, columns)))
    return truth, Output(labels=labels, scores=scores), units_of(kind, m, rng)


def numbers_case(seed, kind):
    rng = stream(seed, "numbers", kind)
    m, columns = int(rng.integers(20, 60)), 4
    truth = rng.normal(size=(m, columns)) * 10.0 ** rng.integers(-2, 3, columns) + rng.normal(size=columns) * 1e4
    truth[3, 0] += 1e6
    said = -0.3 * truth + rng.standard_t(3, size=(m, columns)) * truth.std(axis=0)
    return truth, Output(labels=said), units_of(kind, m, rng)


def average_precision(truth, output, b):
    scores = output.scores[:, b]
    classes = [1] if scores.ndim == 1 else range(scores.shape[1])
    parts = [
        sk.average_precision_score(truth[:, b] == c, scores if scores.ndim == 1 else scores[:, c])
        for c in classes
        if (truth[:, b] == c).any()
    ]
    return np.mean(parts) if parts else NAN


def f1(truth, output, b):
    return sk.f1_score(truth[:, b], output.labels[:, b], zero_division=0)


def f1_macro(truth, output, b):
    return sk.f1_score(truth[:, b], output.labels[:, b], average="macro", zero_division=0)


def pearsonr(truth, output, b):
    if np.ptp(truth[:, b]) == 0 or np.ptp(output.labels[:, b]) == 0 or len(truth) < 2:
        return NAN
    return stats.pearsonr(truth[:, b], output.labels[:, b]).statistic


def some_rows(output, rows):
    return Output(*(None if part is None else part[rows] for part in (output.labels, output.scores)))


def check(metric, oracle, case, rtol=1e-10):
    truth, output, units = case
    columns = range(truth.shape[1])
    np.testing.assert_allclose(metric.score(truth, output), [oracle(truth, output, b) for b in columns], rtol=rtol)
    found = metric.without_units(truth, output, units)
    assert found.shape == (units.max() + 1, truth.shape[1])
    for unit, scores in enumerate(found):
        keep = np.flatnonzero(units != unit)
        left = some_rows(output, keep)
        brute = [oracle(truth[keep], left, b) for b in columns] if len(keep) else [NAN] * len(columns)
        np.testing.assert_allclose(scores, brute, rtol=rtol, atol=1e-12)


UNITS = ["rows", "geometric", "one large", "gaps"]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", UNITS)
@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize(("metric", "oracle"), [(AveragePrecision(), average_precision), (F1Macro(), f1_macro)])
def test_class_metrics_equal_sklearn(metric, oracle, n_classes, kind, seed):
    check(metric, oracle, classes_case(seed, n_classes, kind))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", UNITS)
def test_f1_equals_sklearn(kind, seed):
    check(F1(), f1, classes_case(seed, 2, kind))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", UNITS)
def test_pearsonr_equals_scipy(kind, seed):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scipy of columns that are nearly constant without the far-out row
        check(PearsonR(), pearsonr, numbers_case(seed, kind), rtol=1e-8)


def test_average_precision_of_all_classes_is_sklearns_macro_average():
    truth, output, _ = classes_case(1, 4, "rows")
    for b, found in enumerate(AveragePrecision().score(truth, output)):
        assert found == pytest.approx(sk.average_precision_score(truth[:, b], output.scores[:, b]), rel=1e-12)


def test_average_precision_of_continuous_scores_without_rows_and_large_units():
    rng = stream(0, "many rows")
    scores, truth = rng.normal(size=(400, 1)), rng.integers(0, 2, (400, 1))
    for units in (np.arange(400), np.minimum(np.arange(400) // 7, 30)):  # one of 190 rows, 30 of 7
        check(AveragePrecision(), average_precision, (truth, Output(scores=scores), units))


def test_where_nothing_is_positive():
    truth = np.array([[0, 1], [0, 1], [0, 0]])
    scores = np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])
    assert np.isnan(AveragePrecision().score(truth, Output(scores=scores))).tolist() == [True, False]
    assert AveragePrecision().defined(np.array([[3, 1], [0, 2]])).tolist() == [False, True]
    nobody = Output(labels=np.zeros_like(truth))
    assert F1().score(truth, nobody).tolist() == [0.0, 0.0]
    assert F1Macro().score(truth, nobody).tolist() == [1.0, pytest.approx(0.25)]


def test_a_prediction_that_is_no_class_is_wrong_and_lowers_the_mean_as_in_sklearn():
    truth, said = np.array([[0], [1], [1], [0]]), np.array([[0], [1], [-1], [0]])
    assert F1().score(truth, Output(labels=said)) == pytest.approx(2 / 3)
    expected = sk.f1_score(truth[:, 0], said[:, 0], average="macro")
    assert F1Macro().score(truth, Output(labels=said)) == pytest.approx(expected)


def test_pearsonr_of_constants_is_undefined():
    line = np.linspace(0, 1, 6)[:, None]
    tenth = np.full((6, 1), 0.1)
    assert np.isnan(PearsonR().score(tenth, Output(labels=line)))
    assert np.isnan(PearsonR().score(line, Output(labels=tenth)))
    truth = np.concatenate([tenth, [[7.0]]])
    left = PearsonR().without_units(truth, Output(labels=np.arange(7.0)[:, None]), np.arange(7))
    assert np.isnan(left[:, 0]).tolist() == [False] * 6 + [True]


def test_f1_refuses_three_classes_at_the_door():
    rng = stream(0, "door")
    problem = ct.Problem(rng.normal(size=(30, 2)), np.arange(30) % 3)
    with pytest.raises(InputError, match="scoring='f1' is for two classes, got 3; use scoring='f1_macro'"):
        ct.measure(ct.probes.RidgeProbe(), problem, controls=[ct.ShuffleLabels()], scoring="f1", draws=9)


@pytest.mark.parametrize("scoring", ["average_precision", "f1", "f1_macro", "pearsonr"])
def test_names_give_metrics_that_leave_units_out(scoring):
    task = "regression" if scoring == "pearsonr" else "classification"
    truth, output, units = numbers_case(0, "rows") if task == "regression" else classes_case(0, 2, "rows")
    assert resolve(scoring, task).without_units(truth, output, units) is not None
