"""Planted directions against simulation, scipy and scikit-learn."""

import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import binomtest, mannwhitneyu
from sklearn.metrics import accuracy_score, roc_auc_score

import controls as ct
from controls.core.errors import InputError
from controls.core.rng import stream
from controls.ground_truth import PlantedDirection, PlantedDrift, PlantedSequences


def fits(world, n1, n0, count, rng):
    """Return differences of means of fits and their midpoints, each (count, d), drawn from their own laws."""
    one = rng.standard_normal((count, world.d)) / np.sqrt(n1)
    zero = rng.standard_normal((count, world.d)) / np.sqrt(n0)
    one[:, 0] += world.delta
    return one - zero, (one + zero) / 2


@pytest.mark.parametrize(
    ("delta", "d", "rate", "n1", "n0"),
    [(1.0, 64, 0.02, 40, 1960), (0.5, 2, 0.3, 5, 9), (1.0, 3, 0.5, 4, 4), (1.5, 300, 0.5, 30, 30), (0.0, 5, 0.4, 3, 8)],
)
def test_expected_scores_of_fitted_directions_are_those_of_simulated_fits(delta, d, rate, n1, n0):
    world = PlantedDirection(delta, d, rate)
    directions, middles = fits(world, n1, n0, 20_000, stream(0, d, n1))
    auc = np.array([world.truth.auc(w) for w in directions[:4000]])
    accuracy = np.array([world.truth.accuracy(w, -w @ m) for w, m in zip(directions, middles, strict=True)])
    for expected, scores in [(world.truth.fitted_auc(n1, n0), auc), (world.truth.fitted_accuracy(n1, n0), accuracy)]:
        assert abs(scores.mean() - expected) <= 4 * scores.std() / np.sqrt(len(scores)) + 1e-12


@pytest.mark.parametrize("tails", [None, 1.0, 3.0])
def test_scores_of_a_given_direction_are_those_of_samples(tails):
    world = PlantedDirection(1.2, d=4, rate=0.3, tails=tails)
    problem = world.sample(200_000, stream(1, str(tails)))
    w = np.array([1.0, 0.5, 0.0, -0.3])
    scores = problem.X @ w
    assert world.truth.auc(w) == pytest.approx(roc_auc_score(problem.labels, scores), abs=0.005)
    assert world.truth.accuracy(w, -0.4) == pytest.approx(accuracy_score(problem.labels, scores > 0.4), abs=0.005)


@pytest.mark.parametrize("rate", [0.5, 0.1])
def test_no_threshold_is_better_than_the_best(rate):
    truth = PlantedDirection(1.0, d=2, rate=rate).truth
    axis = np.array([1.0, 0.0])
    found = max(truth.accuracy(axis, -threshold) for threshold in np.linspace(-4, 8, 6001))
    assert truth.best_accuracy == pytest.approx(found, abs=1e-6)
    assert truth.best_auc == pytest.approx(ndtr(1 / np.sqrt(2)), abs=1e-12)
    assert PlantedDirection(0.0, rate=rate).truth.best_accuracy == 1 - rate


def test_auc_after_a_random_split_is_what_the_library_measures():
    world, n, scores = PlantedDirection(1.0, d=10, rate=0.2), 60, []
    for number in range(300):
        problem = world.sample(n, stream(2, number))
        rows = stream(3, number).permutation(n)
        probe = ct.probes.MeanDifferenceProbe().fit(problem.take(rows[:30]), stream(0))
        truth, values = problem.labels[rows[30:]], problem.X[rows[30:]] @ probe.coef_[0]
        scores.append(roc_auc_score(truth, values))
    expected = world.truth.split_auc(30, world.positives(n), n)
    assert abs(np.mean(scores) - expected) <= 4 * np.std(scores) / np.sqrt(300)


def test_power_of_the_rank_test_along_the_direction_does_not_exceed_the_most_power():
    world, found = PlantedDirection(0.6, d=2, rate=0.5), 0
    for number in range(1000):
        problem = world.sample(40, stream(4, number))
        x = problem.X[:, 0]
        found += mannwhitneyu(x[problem.labels == 1], x[problem.labels == 0], alternative="greater").pvalue <= 0.05
    most = world.truth.most_power(20, 20)
    assert binomtest(found, 1000, most, alternative="greater").pvalue > 0.001
    assert found / 1000 > most - 0.08
    assert PlantedDirection(0.0).truth.most_power(20, 20) == pytest.approx(0.05)


def test_number_of_positives_is_exact_and_both_classes_are_there():
    world = PlantedDirection(1.0, rate=0.02)
    assert world.sample(4000, stream(5)).labels.sum() == 80
    with pytest.raises(InputError, match="both classes"):
        world.sample(20, stream(5))


def test_labels_and_noise_of_sequences_have_the_stated_correlations():
    world = PlantedSequences(0.0, d=2, size=50, rho=0.7, rate=0.3)
    problem = world.sample(200_000, stream(6))
    labels, X = problem.labels.reshape(-1, 50), problem.X.reshape(-1, 50, 2)
    for lag in (1, 3):
        pairs = np.corrcoef(labels[:, lag:].ravel(), labels[:, :-lag].ravel())[0, 1]
        assert pairs == pytest.approx(world.truth.label_correlation(lag), abs=0.02)
        noise = np.corrcoef(X[:, lag:, 1].ravel(), X[:, :-lag, 1].ravel())[0, 1]
        assert noise == pytest.approx(0.7**lag, abs=0.02)
    assert labels.mean(axis=0) == pytest.approx(np.full(50, 0.3), abs=0.04)
    assert X[:, :, 1].std(axis=0) == pytest.approx(np.ones(50), abs=0.06)


def test_both_axes_of_a_drift_score_what_is_stated():
    world = PlantedDrift(0.8, d=3, size=20, activation_drift=1.5)
    problem = world.sample(100_000, stream(7))
    assert roc_auc_score(problem.labels, problem.X[:, 0]) == pytest.approx(world.truth.best_auc, abs=0.008)
    assert roc_auc_score(problem.labels, problem.X[:, 1]) == pytest.approx(world.truth.position_auc, abs=0.008)
    rates = [problem.labels[problem.groups["position"] == place].mean() for place in range(20)]
    assert rates == pytest.approx(world.rates, abs=0.03)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: PlantedDirection(-1.0), "delta must be"),
        (lambda: PlantedDirection(1.0, d=1), "d must be at least 2"),
        (lambda: PlantedDirection(1.0, tails=3.0).truth.fitted_auc(5, 5), "tails must be None"),
        (lambda: PlantedDirection(1.0, tails=3.0).truth.best_accuracy, "tails must be None"),
        (lambda: PlantedDirection(1.0).truth.auc(np.ones(3)), "direction must be 64"),
        (lambda: PlantedDirection(1.0).truth.split_auc(1, 5, 10), "both classes in both parts"),
        (lambda: PlantedSequences(1.0).sample(50, stream(0)), "multiple of the size of documents"),
        (lambda: PlantedSequences(1.0, rho=1.0), "rho must be"),
        (lambda: PlantedDrift(1.0, first_rate=0.0), "first_rate must be"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(make, words):
    with pytest.raises(InputError, match=words):
        make()
