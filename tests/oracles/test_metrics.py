"""Metrics against scikit-learn: every column, and every column without each unit, on random ugly data."""

import warnings

import numpy as np
import pytest
from sklearn import metrics as sk

from controls.core.errors import InputError, TrainerError
from controls.core.metric import ColumnMetric
from controls.core.rng import stream
from controls.core.trainer import Output
from controls.metrics import R2, Accuracy, BalancedAccuracy, NegLogLoss, NegMeanSquaredError, RocAuc, RocAucOvr

NAN = float("nan")
SEEDS = range(4)


def classes_case(seed: int, n_classes: int, *, float32: bool = False):
    """Imbalanced classes, tied scores, saturated probabilities, units of very unequal size."""
    rng = stream(seed, "classes", n_classes)
    m, columns = int(rng.integers(30, 90)), 5
    shares = rng.dirichlet(np.full(n_classes, 0.7))
    truth = np.stack([rng.choice(n_classes, m, p=shares) for _ in range(columns)], axis=1)
    logits = np.round(rng.normal(size=(m, columns, n_classes)) * 3 + 2 * np.eye(n_classes)[truth], 0) * 8
    shifted = np.exp(logits - logits.max(axis=2, keepdims=True))
    probabilities = shifted / shifted.sum(axis=2, keepdims=True)
    if float32:
        probabilities = probabilities.astype(np.float32)
    scores = logits[:, :, 1] - logits[:, :, 0] if n_classes == 2 else logits
    labels = rng.integers(0, n_classes, (m, columns))
    labels[0] = -1  # a prediction outside the classes
    units = np.unique(np.minimum(rng.geometric(0.25, m), 12), return_inverse=True)[1]
    return truth, Output(labels=labels, scores=scores, probabilities=probabilities), units


def regression_case(seed: int):
    """Numbers far from zero, of unequal scale, with one far-out row, and a unit that holds most rows."""
    rng = stream(seed, "numbers")
    m, columns = int(rng.integers(20, 60)), 4
    truth = rng.normal(size=(m, columns)) * 10.0 ** rng.integers(-2, 3, columns) + rng.normal(size=columns) * 1e4
    truth[3, 0] += 1e6
    predicted = truth + rng.standard_t(3, size=(m, columns))
    units = np.unique(np.minimum(rng.geometric(0.4, m), 8), return_inverse=True)[1]
    return truth, Output(labels=predicted), units


def accuracy(truth, output, b):
    return sk.accuracy_score(truth[:, b], output.labels[:, b])


def balanced_accuracy(truth, output, b):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return sk.balanced_accuracy_score(truth[:, b], output.labels[:, b])


def neg_log_loss(truth, output, b):
    probabilities = output.probabilities[:, b]
    return -sk.log_loss(truth[:, b], probabilities, labels=np.arange(probabilities.shape[1]))


def area(positive, scores):
    return sk.roc_auc_score(positive, scores) if 0 < positive.sum() < len(positive) else NAN


def roc_auc(truth, output, b):
    return area(truth[:, b] == 1, output.scores[:, b])


def roc_auc_ovr(truth, output, b):
    columns = output.probabilities[:, b]
    areas = np.array([area(truth[:, b] == c, columns[:, c]) for c in range(columns.shape[1])])
    return areas[~np.isnan(areas)].mean() if not np.isnan(areas).all() else NAN


def r2(truth, output, b):
    return sk.r2_score(truth[:, b], output.labels[:, b]) if np.ptp(truth[:, b]) > 0 else NAN


def neg_mean_squared_error(truth, output, b):
    return -sk.mean_squared_error(truth[:, b], output.labels[:, b])


CLASS_METRICS = [
    (Accuracy(), accuracy),
    (BalancedAccuracy(), balanced_accuracy),
    (NegLogLoss(), neg_log_loss),
]
NUMBER_METRICS = [(R2(), r2), (NegMeanSquaredError(), neg_mean_squared_error)]


def rows_of(output: Output, rows: np.ndarray) -> Output:
    parts = (output.labels, output.scores, output.probabilities)
    return Output(*(None if part is None else part[rows] for part in parts))


def check(metric: ColumnMetric, oracle, case, rtol: float = 1e-11) -> None:
    truth, output, units = case
    columns = range(truth.shape[1])
    expected = np.array([oracle(truth, output, b) for b in columns])
    np.testing.assert_allclose(metric.score(truth, output), expected, rtol=rtol, atol=1e-13)

    without = metric.without_units(truth, output, units)
    assert without is not None
    assert without.shape == (units.max() + 1, truth.shape[1])
    for unit, found in enumerate(without):
        keep = np.flatnonzero(units != unit)
        left = rows_of(output, keep)
        brute = [oracle(truth[keep], left, b) for b in columns] if len(keep) else [NAN] * len(columns)
        np.testing.assert_allclose(found, brute, rtol=rtol, atol=1e-13)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("n_classes", [2, 3, 8])
@pytest.mark.parametrize(("metric", "oracle"), CLASS_METRICS, ids=lambda item: getattr(item, "name", ""))
def test_class_metrics_equal_sklearn(metric, oracle, n_classes, seed):
    check(metric, oracle, classes_case(seed, n_classes))


@pytest.mark.parametrize("seed", SEEDS)
def test_roc_auc_equals_sklearn(seed):
    check(RocAuc(), roc_auc, classes_case(seed, 2))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("n_classes", [3, 4, 5, 6, 7, 8])
def test_roc_auc_ovr_equals_the_mean_of_sklearn_areas(n_classes, seed):
    check(RocAucOvr(), roc_auc_ovr, classes_case(seed, n_classes))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("metric", "oracle"), NUMBER_METRICS, ids=lambda item: getattr(item, "name", ""))
def test_number_metrics_equal_sklearn(metric, oracle, seed):
    # The far-out row loses digits in any formula: errors relative to 1e6 ** 2 leave about 1e-9 here.
    check(metric, oracle, regression_case(seed), rtol=1e-8)


@pytest.mark.parametrize("n_classes", [3, 5])
def test_roc_auc_ovr_is_sklearns_macro_average(n_classes):
    rng = stream(1, "macro", n_classes)
    truth = np.arange(60)[:, None] % n_classes
    probabilities = rng.dirichlet(np.ones(n_classes), 60)[:, None]
    found = RocAucOvr().score(truth, Output(probabilities=probabilities))
    expected = sk.roc_auc_score(truth[:, 0], probabilities[:, 0], multi_class="ovr")
    np.testing.assert_allclose(found, [expected], rtol=1e-12)


def test_roc_auc_ovr_reads_scores_where_there_are_no_probabilities():
    truth, output, units = classes_case(2, 4)
    by_scores = Output(scores=output.scores)
    as_probabilities = Output(probabilities=output.scores)
    np.testing.assert_array_equal(RocAucOvr().score(truth, by_scores), RocAucOvr().score(truth, as_probabilities))
    np.testing.assert_array_equal(
        RocAucOvr().without_units(truth, by_scores, units),
        RocAucOvr().without_units(truth, as_probabilities, units),
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_roc_auc_ovr_of_two_classes_is_roc_auc(seed):
    truth, output, units = classes_case(seed, 2)
    np.testing.assert_array_equal(RocAucOvr().score(truth, output), RocAuc().score(truth, output))
    only = Output(probabilities=output.probabilities)
    np.testing.assert_array_equal(RocAucOvr().score(truth, only), RocAuc().score(truth, only))
    np.testing.assert_array_equal(
        RocAucOvr().without_units(truth, only, units), RocAuc().without_units(truth, only, units)
    )


def test_areas_are_exact_fractions_on_integer_scores():
    rng = stream(0, "exact")
    scores = rng.integers(0, 4, (200, 3)).astype(float)
    truth = rng.integers(0, 2, (200, 3))
    for b in range(3):
        positive, negative = scores[truth[:, b] == 1, b], scores[truth[:, b] == 0, b]
        halves = 2 * (positive[:, None] > negative).sum() + (positive[:, None] == negative).sum()
        assert RocAuc().score(truth, Output(scores=scores))[b] == halves / (2 * len(positive) * len(negative))


def test_log_loss_clips_as_sklearn_in_both_precisions():
    for float32 in (False, True):
        truth, output, _ = classes_case(3, 3, float32=float32)
        wrong = np.zeros_like(output.probabilities)
        wrong[:, :, 0] = 1
        found = NegLogLoss().score(truth, Output(probabilities=wrong))
        expected = [-sk.log_loss(truth[:, b], wrong[:, b], labels=[0, 1, 2]) for b in range(truth.shape[1])]
        # scikit-learn sums single-precision losses in single precision.
        np.testing.assert_allclose(found, expected, rtol=1e-5 if float32 else 1e-12)
        assert np.isfinite(found).all()


def test_units_without_rows_leave_the_score_as_it_is():
    truth, output, units = classes_case(4, 2)
    gaps = units * 2  # every odd unit has no rows
    for metric in (Accuracy(), BalancedAccuracy(), NegLogLoss(), RocAuc(), RocAucOvr()):
        without = metric.without_units(truth, output, gaps)
        np.testing.assert_array_equal(without[::2], metric.without_units(truth, output, units))
        full = np.broadcast_to(metric.score(truth, output), without[1::2].shape)
        np.testing.assert_allclose(without[1::2], full, rtol=1e-13)


def test_one_unit_leaves_nothing():
    truth, output, units = classes_case(5, 2)
    for metric in (Accuracy(), BalancedAccuracy(), NegLogLoss(), RocAuc()):
        assert np.isnan(metric.without_units(truth, output, np.zeros_like(units))).all()
    truth, output, units = regression_case(5)
    for metric in (R2(), NegMeanSquaredError()):
        assert np.isnan(metric.without_units(truth, output, np.zeros_like(units))).all()


@pytest.mark.parametrize("value", [0.1, 0.3, 0.7, 1 / 3, 2.2])
@pytest.mark.parametrize("k", range(3, 12))
def test_r2_knows_constant_truth_exactly(k, value):
    # Without unit 1 all rows are equal; their sum of squares about a rounded mean is often not quite 0.
    truth = np.concatenate([np.full(k, value), np.linspace(11, 13, k + 1)])[:, None]
    predicted = truth + np.linspace(0, 1, len(truth))[:, None]
    units = (truth[:, 0] > 5).astype(int)
    without = R2().without_units(truth, Output(labels=predicted), units)
    np.testing.assert_allclose(without[0], r2(truth[k:], Output(labels=predicted[k:]), 0), rtol=1e-11)
    assert np.isnan(without[1, 0])
    assert np.isnan(R2().score(truth[:k], Output(labels=predicted[:k]))[0])


@pytest.mark.parametrize(("n_classes", "metric"), [(2, RocAuc()), (2, RocAucOvr()), (4, RocAucOvr())])
def test_score_is_nan_where_it_is_not_defined(n_classes, metric):
    rng = stream(9, "defined", n_classes)
    truth = np.zeros((12, 2), dtype=int)
    truth[:, 1] = rng.permutation(np.arange(12) % 2)
    probabilities = rng.dirichlet(np.ones(n_classes), (12, 2))
    score = metric.score(truth, Output(probabilities=probabilities))
    counts = np.stack([np.bincount(truth[:, b], minlength=n_classes) for b in range(2)], axis=1)
    assert metric.defined(counts).tolist() == [False, True]
    assert (~np.isnan(score)).tolist() == [False, True]


def test_roc_auc_refuses_three_classes():
    truth, output, _ = classes_case(0, 3)
    with pytest.raises(InputError, match="roc_auc_ovr"):
        RocAuc().score(truth, output)


def test_missing_output_is_said():
    truth, _, _ = classes_case(0, 2)
    with pytest.raises(TrainerError, match="must have the labels"):
        Accuracy().score(truth, Output(scores=np.zeros(truth.shape)))
