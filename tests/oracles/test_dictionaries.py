"""Planted dictionaries against samples, least squares and scikit-learn."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

import controls as ct
from controls.core.errors import InputError
from controls.core.rng import stream
from controls.ground_truth import (
    CorrelatedFeatures,
    DictionaryTwin,
    PlantedDictionary,
    SparseFeatures,
    overlapping_directions,
    random_directions,
)

LAWS = [SparseFeatures(6, rate=0.2), SparseFeatures(6, 0.5, 1.0, 1.0), CorrelatedFeatures(6, 0.3, rate=0.3)]


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_moments_of_features_are_those_of_samples(law):
    C = law.sample(200_000, stream(0, "features", str(law)))
    assert np.allclose(C.mean(axis=0), law.mean, atol=5 * np.sqrt(law.covariance.max() / 200_000))
    assert np.allclose(np.cov(C.T), law.covariance, atol=0.005)
    assert np.allclose((C > 0).mean(axis=0), law.rate, atol=0.006)


@pytest.mark.parametrize(("m", "d"), [(64, 32), (200, 50), (5, 8)])
def test_mean_r2_of_independent_features_is_d_over_m(m, d):
    truth = PlantedDictionary(random_directions(m, d, stream(0, m, d)), SparseFeatures(m)).truth
    assert truth.r2.mean() == pytest.approx(min(m, d) / m, abs=1e-10)


@pytest.mark.parametrize("law", LAWS, ids=str)
@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_r2_and_probe_directions_are_those_of_least_squares(law, noise):
    world = PlantedDictionary(random_directions(6, 4, stream(1)), law, noise)
    problem = world.sample(200_000, stream(2, str(law)), feature=None, ask="value")
    fitted = LinearRegression().fit(problem.X, problem.labels)
    measured = 1 - np.square(problem.labels - fitted.predict(problem.X)).mean(axis=0) / problem.labels.var(axis=0)
    assert np.allclose(measured, world.truth.r2, atol=0.006)
    assert np.allclose(fitted.coef_, world.truth.probe_directions, atol=0.02)


def test_r2_along_a_direction_is_the_squared_correlation():
    world = PlantedDictionary(overlapping_directions(6, 0.4, d=7), LAWS[2], noise=0.3)
    problem = world.sample(200_000, stream(3), feature=2, ask="value")
    v = stream(4).standard_normal(7)
    measured = np.corrcoef(problem.X @ v, problem.labels)[0, 1] ** 2
    assert world.truth.r2_along(v, 2) == pytest.approx(measured, abs=0.005)
    assert world.truth.r2_along(world.truth.probe_directions[2], 2) == pytest.approx(world.truth.r2[2], abs=1e-12)


@pytest.mark.parametrize("law", LAWS[1:], ids=str)
def test_mean_differences_are_those_of_samples(law):
    world = PlantedDictionary(random_directions(6, 8, stream(5)), law, noise=0.1)
    problem = world.sample(200_000, stream(6), feature=1)
    measured = problem.X[problem.labels == 1].mean(axis=0) - problem.X[problem.labels == 0].mean(axis=0)
    assert np.allclose(measured, world.truth.mean_differences[1], atol=0.02)


def test_probe_and_steering_directions_of_a_dual_basis():
    m, overlap = 8, 0.6
    truth = PlantedDictionary(overlapping_directions(m, overlap), SparseFeatures(m, 0.5, 1.0, 1.0)).truth
    inverse = np.linalg.inv((1 - overlap) * np.eye(m) + overlap)
    assert np.allclose(truth.r2, 1)
    assert np.allclose(truth.probe_directions @ truth.directions.T, np.eye(m))
    assert np.allclose(truth.mean_differences, truth.directions)
    assert np.allclose(truth.leaks(truth.probe_directions[3], 3), inverse[3] / inverse[3, 3])
    assert np.allclose(truth.leaks(truth.directions[3], 3), np.eye(m)[3])
    assert truth.r2_along(truth.directions[3], 3) == pytest.approx(1 / (1 + (m - 1) * overlap**2))


def test_difference_of_means_leaks_the_correlation_of_features():
    truth = PlantedDictionary(overlapping_directions(8, 0.6), CorrelatedFeatures(8, 0.313)).truth
    assert np.allclose(np.delete(truth.leaks(truth.mean_differences[0], 0), 0), 0.313)
    assert np.allclose(truth.probe_directions @ truth.directions.T, np.eye(8))


def test_least_squares_turns_from_the_dual_to_the_direction_with_noise():
    F, law = overlapping_directions(8, 0.6), SparseFeatures(8, 0.5, 1.0, 1.0)
    cosines = []
    for noise in (1e-3, 0.3, 1.0, 100.0):
        p = PlantedDictionary(F, law, noise).truth.probe_directions[0]
        cosines.append(F[0] @ p / np.linalg.norm(p))
    assert cosines == sorted(cosines)
    dual = np.linalg.inv(F)[:, 0]
    assert cosines[0] == pytest.approx(F[0] @ dual / np.linalg.norm(dual), abs=1e-4)
    assert cosines[-1] == pytest.approx(1, abs=1e-4)


def test_welch_floor_is_reached_by_a_tight_frame_and_by_no_random_one():
    from scipy.linalg import hadamard

    tight = np.vstack([np.eye(32), hadamard(32) / np.sqrt(32)])
    truth = PlantedDictionary(tight, SparseFeatures(64)).truth
    assert truth.cross_talk(truth.directions) == pytest.approx(truth.least_cross_talk, abs=1e-12)
    truth = PlantedDictionary(random_directions(64, 32, stream(7)), SparseFeatures(64)).truth
    assert truth.least_cross_talk < truth.cross_talk(truth.dual) < truth.cross_talk(truth.directions)


def test_source_computes_the_activations_and_its_weights_are_the_directions():
    world = PlantedDictionary(random_directions(6, 4, stream(8)), LAWS[0], noise=0.1)
    problem = world.sample(50, stream(9), feature=2)
    source = problem.source
    assert np.allclose(source.extract(source.model, source.inputs), problem.X)
    assert np.allclose(source.model.linear.weight.detach().numpy(), world.directions.T)
    assert np.array_equal(problem.groups["c2"], problem.labels)
    assert problem.array_at("features").shape == (50, 6)


WORLD = PlantedDictionary(random_directions(10, 5, stream(10)), SparseFeatures(10, rate=0.2), noise=0.1)


@pytest.mark.parametrize("kind", ["gaussian", "rotated", "fresh", "phases", "shuffled"])
def test_twins_have_the_mean_and_covariance_that_they_state_and_hide_the_features(kind):
    twin = DictionaryTwin(WORLD, kind, seed=3)
    problem = twin.sample(200_000, stream(11, kind), feature=None, ask="value")
    scale = np.sqrt(np.diag(twin.truth.activation_covariance))
    assert np.allclose(problem.X.mean(axis=0), twin.truth.activation_mean, atol=0.012 * scale.max())
    assert np.allclose(np.cov(problem.X.T), twin.truth.activation_covariance, atol=0.012 * scale.max() ** 2)
    fitted = LinearRegression().fit(problem.X, problem.labels)
    residual = np.square(problem.labels - fitted.predict(problem.X)).mean(axis=0)
    assert np.allclose(1 - residual / problem.labels.var(axis=0), twin.truth.r2, atol=0.006)


def test_only_rotated_twins_have_another_dictionary():
    turned = DictionaryTwin(WORLD, "rotated", seed=3).directions
    assert np.allclose(turned @ turned.T, WORLD.directions @ WORLD.directions.T)
    assert not np.allclose(turned, WORLD.directions)
    assert DictionaryTwin(WORLD, "gaussian").directions is None


def test_phases_keep_lengths_and_fresh_directions_keep_heavy_tails():
    def kurtosis(kind):
        truth = WORLD.truth
        whiten = np.linalg.inv(np.linalg.cholesky(truth.activation_covariance)).T
        X = (kind.sample(50_000, stream(12)).X - truth.activation_mean) @ whiten
        return np.square(np.square(X).sum(axis=1)).mean() / np.square(np.square(X).sum(axis=1).mean())

    assert kurtosis(DictionaryTwin(WORLD, "phases")) == pytest.approx(kurtosis(WORLD), rel=0.03)
    assert kurtosis(DictionaryTwin(WORLD, "gaussian")) < 0.9 * kurtosis(DictionaryTwin(WORLD, "fresh"))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: PlantedDictionary(np.eye(3), SparseFeatures(4)), "one row per feature"),
        (lambda: PlantedDictionary(np.zeros((2, 3)), SparseFeatures(2)), "must not be zero"),
        (lambda: PlantedDictionary(np.eye(3), 3), "features must be"),
        (lambda: PlantedDictionary(np.eye(3), SparseFeatures(3), -1.0), "noise must be"),
        (lambda: WORLD.sample(5, stream(0), feature=10), "feature must be a position"),
        (lambda: WORLD.sample(5, stream(0), ask="sign"), "ask must be one of"),
        (lambda: WORLD.truth.leaks(np.ones(3), 0), "direction must be 5 finite numbers"),
        (lambda: WORLD.truth.leaks(np.zeros(5), 0), "must move feature 0"),
        (lambda: DictionaryTwin(WORLD, "bootstrap"), "kind must be one of"),
        (lambda: SparseFeatures(3, low=2.0, high=1.0), "high must be at least"),
        (lambda: CorrelatedFeatures(3, correlation=1.0), "correlation must be below 1"),
        (lambda: overlapping_directions(3, 1.0), "overlap must be below 1"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(make, words):
    with pytest.raises(InputError, match=words):
        make()


def test_an_auc_near_one_does_not_mean_that_a_feature_can_be_read_out():
    world = PlantedDictionary(random_directions(64, 32, stream(13)), SparseFeatures(64))
    problem = world.sample(4000, stream(14))
    result = ct.measure(
        ct.probes.RidgeProbe(), problem, controls=[ct.ShuffleLabels()], scoring="roc_auc", draws=39, seed=0
    )
    assert result.score > 0.95
    assert str(result.verdict) == "HOLDS"
    assert world.truth.r2[0] < 0.7
