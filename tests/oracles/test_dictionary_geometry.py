"""Chance levels, stability over seeds and geometry, against closed forms, sampling and planted shapes."""

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad
from scipy.optimize import linear_sum_assignment
from sklearn.metrics.pairwise import cosine_similarity

import controls as ct
from controls.core.errors import CannotControl, InputError, InputTypeError
from controls.core.rng import stream
from controls.ground_truth import random_directions
from controls.metrics.stability import jackknifed

M = ct.metrics


# -- chance ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("m", [1, 2, 7, 1000, 10**6])
def test_on_the_sphere_the_largest_cosine_is_that_of_uniform_numbers(m):
    assert M.chance_cosine(m, 3) == pytest.approx((m - 1) / (m + 1), abs=1e-12)
    assert M.chance_cosine(m, 3, absolute=True) == pytest.approx(m / (m + 1), abs=1e-12)
    assert M.chance_cosine_quantile(0.3, m, 3) == pytest.approx(2 * 0.3 ** (1 / m) - 1, abs=1e-9)


@pytest.mark.parametrize(("m", "d"), [(1, 2), (5, 2), (64, 32), (1024, 128)])
def test_largest_cosine_is_the_integral_over_its_law(m, d):
    law = stats.beta((d - 1) / 2, (d - 1) / 2, loc=-1, scale=2)
    middle = law.ppf(0.5 ** (1 / m))
    below, _ = quad(lambda t: law.cdf(t) ** m, -1, 1, points=[middle], limit=500)
    assert M.chance_cosine(m, d) == pytest.approx(1 - below, abs=1e-6)


def test_in_one_dimension_directions_are_signs():
    assert M.chance_cosine(3, 1) == 1 - 2 / 8
    assert M.chance_cosine(3, 1, absolute=True) == 1


@pytest.mark.parametrize(
    ("d", "m", "table"),
    [
        (128, 1024, (0.283, 0.299)),
        (512, 4096, (0.160, 0.167)),
        (768, 24576, (0.147, 0.152)),
        (2304, 16384, (0.083, 0.086)),
    ],
)
def test_sampled_levels_of_others_are_met(d, m, table):
    found = M.chance_cosine(m, d), M.chance_cosine(m, d, absolute=True)
    assert np.allclose(found, table, atol=0.0015)


def test_random_dictionaries_score_chance_and_more_where_they_follow_the_covariance():
    rng = stream(0, "chance")
    truth = random_directions(64, 32, rng)
    plain = M.chance_mmcs(truth, 64, draws=200, rng=rng)
    assert abs(plain.mean() - M.chance_cosine(64, 32)) < 4 * plain.std() / np.sqrt(200)
    covariance = truth.T @ truth
    leaning = M.chance_mmcs(truth, 64, covariance=covariance, draws=50, rng=rng)
    further = M.chance_mmcs(truth, 64, covariance=covariance @ covariance, draws=50, rng=rng)
    assert plain.mean() + 0.02 < leaning.mean() < further.mean() - 0.01
    matched = M.chance_mmcs(truth, 64, one_to_one=True, draws=20, rng=rng)
    assert matched.mean() < plain.mean()


def test_directions_of_a_degenerate_covariance_stay_in_it():
    truth = np.eye(3)
    scores = M.chance_mmcs(truth, 4, covariance=np.diag([1.0, 0.0, 0.0]), absolute=True, rng=stream(1))
    assert np.allclose(scores, 1 / 3)


@pytest.mark.parametrize(
    "covariance", [np.eye(2), -np.eye(3), np.zeros((3, 3)), np.triu(np.ones((3, 3))), np.full((3, 3), np.nan)]
)
def test_what_is_no_covariance_is_refused(covariance):
    with pytest.raises(InputError, match="covariance"):
        M.chance_mmcs(np.eye(3), 4, covariance=covariance, rng=stream(2))


# -- stability --------------------------------------------------------------------------------------


def test_agreement_is_mmcs_both_ways_or_one_to_one():
    rng = stream(3, "stability")
    A, B = rng.normal(size=(5, 4)), rng.normal(size=(7, 4))
    C, problem = cosine_similarity(A, B), ct.Problem(np.ones((2, 4)))
    settings = {"alive_only": False}
    both = (C.max(axis=1).mean() + C.max(axis=0).mean()) / 2
    assert M.SeedStability(**settings)([A, B], problem) == pytest.approx(both)
    rows, columns = linear_sum_assignment(-C)
    matched = M.SeedStability("one_to_one", **settings)([A, B], problem)
    assert matched == pytest.approx(C[rows, columns].mean())
    assert M.SeedStability("one_to_one", **settings)([B, A], problem) == pytest.approx(matched)
    flipped = M.SeedStability(absolute=True, **settings)([A, -A], problem)
    assert flipped == pytest.approx(1)


def test_the_jackknife_takes_a_seed_out_with_its_pairs():
    matrix = stream(4).random((6, 6))
    matrix = (matrix + matrix.T) / 2
    np.fill_diagonal(matrix, np.nan)
    found = jackknifed(matrix, 0.9)
    without = [np.nanmean(np.delete(np.delete(matrix, i, 0), i, 1)) for i in range(6)]
    error = np.sqrt(5 / 6 * np.square(without - np.mean(without)).sum())
    assert found.standard_error == pytest.approx(error)
    assert (found.high - found.low) / 2 == pytest.approx(stats.t.ppf(0.95, 5) * error)


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_intervals_over_seeds_cover(noise):
    """Pairs that share seeds: the interval covers where an interval over pairs would not."""
    rng, covered, naive, trials = stream(5, str(noise)), 0, 0, 1000
    upper = np.triu_indices(6, 1)
    for _ in range(trials):
        effect = rng.normal(size=6)
        matrix = effect[:, None] + effect + noise * rng.normal(size=(6, 6))
        pairs = matrix[upper]
        matrix.T[upper] = pairs
        np.fill_diagonal(matrix, np.nan)
        found = jackknifed(matrix, 0.95)
        covered += found.low < 0 < found.high
        naive += abs(pairs.mean()) < stats.t.ppf(0.975, 14) * pairs.std(ddof=1) / np.sqrt(15)
    assert stats.binomtest(covered, trials, 0.94, alternative="less").pvalue > 0.001
    assert naive < 0.8 * trials


def test_two_seeds_have_no_interval():
    found = M.SeedStability(alive_only=False).estimate([np.eye(2), np.eye(2)], ct.Problem(np.ones((2, 2))))
    assert found.value == 1
    assert np.isnan([found.low, found.high]).all()


def test_seeds_are_trained_on_the_same_rows_and_compared():
    class Leading(ct.Trainer):
        def fit(self, problem, rng):
            return np.linalg.svd(problem.X)[2][:2] + 0.1 * rng.normal(size=(2, problem.d))

    problem = ct.Problem(stream(6).normal(size=(60, 4)) * [4, 2, 1, 1])
    seeds = ct.finders.Seeds(Leading(), 3)
    findings = seeds.fit(problem, stream(7))
    assert np.array_equal(findings[0], Leading().fit(problem, stream(7)))
    assert len({found.tobytes() for found in findings}) == 3
    result = ct.measure(
        seeds, problem, controls=[ct.GaussianActivations()], scoring=M.SeedStability(), cv=2, draws=19, key="leading"
    )
    assert 0.8 < result.score <= 1
    assert result.comparisons[0].control_mean > 0.8  # the covariance is all that these directions know of


@pytest.mark.parametrize(
    ("findings", "error"), [(np.eye(2), InputTypeError), ([np.eye(2)], InputError), ("ab", InputTypeError)]
)
def test_one_dictionary_has_no_stability(findings, error):
    with pytest.raises(error, match="findings must be"):
        M.SeedStability()(findings, ct.Problem(np.ones((2, 2))))


def test_seeds_are_held_together_or_not_at_all():
    class Plain(ct.Trainer):
        def fit(self, problem, rng):
            return np.eye(2)

    with pytest.raises(CannotControl, match="Plain"):
        ct.finders.Seeds(Plain()).untrained()
    held = ct.finders.Seeds(ct.finders.SAE(4, k=1, steps=2, batch_size=8)).held("decoder", np.eye(4, 3) + 0.1)
    problem = ct.Problem(stream(8).normal(size=(20, 3)))
    first, second = held.fit(problem, stream(9))
    assert np.allclose(first.decoder, second.decoder)
    assert not np.allclose(first.encoder, second.encoder)


# -- geometry --------------------------------------------------------------------------------------


@pytest.mark.parametrize("absolute", [False, True])
def test_neighbours_are_those_of_all_pairs(absolute, monkeypatch):
    monkeypatch.setattr("controls.metrics.geometry._AT_ONCE", 50)
    D = stream(10).normal(size=(20, 4))
    D[7] = 0
    C = cosine_similarity(np.delete(D, 7, 0))
    C = np.abs(C) if absolute else C
    np.fill_diagonal(C, -np.inf)
    assert M.NeighbourCosine(absolute=absolute)(D) == pytest.approx(C.max(axis=1).mean())
    assert M.NeighbourCosine(0.9, absolute)(D) == pytest.approx(np.quantile(C.max(axis=1), 0.9))


def test_spectra_are_those_of_the_gram_matrix():
    D = random_directions(9, 5, stream(11))
    values = np.linalg.eigvalsh(D @ D.T)[-5:]
    assert M.participation_ratio(3 * D) == pytest.approx(values.sum() ** 2 / np.square(values).sum())
    assert M.effective_rank(3 * D) == pytest.approx(np.exp(stats.entropy(values / values.sum())))


def ring(n, d, rng, noise=0.0, tilt=0.7):
    plane = np.linalg.qr(rng.normal(size=(d, 3)))[0].T
    angles = 2 * np.pi * np.arange(n) / n
    rows = np.cos(angles)[:, None] * plane[0] + np.sin(angles)[:, None] * plane[1] + tilt * plane[2]
    return rows + noise * rng.normal(size=(n, d))


def test_a_planted_circle_is_found_among_random_directions():
    rng = stream(12, "circle")
    D = np.vstack([random_directions(150, 24, rng), ring(12, 24, rng, noise=0.02)])
    score = M.CircleScore()(D)
    reference = M.geometry_reference(D, M.CircleScore(), kind="spectrum", draws=39, rng=rng)
    assert score > 0.8
    assert score > reference.max() + 0.2
    assert set(M.CircleScore().groups(D)[0]) == set(range(150, 162))


def test_planted_clusters_are_found_and_circles_are_not_clusters():
    rng = stream(13, "clusters")
    centres = random_directions(8, 24, rng).repeat(15, axis=0)
    D = centres + 0.1 * rng.normal(size=(120, 24))
    reference = M.geometry_reference(D, M.ClusterScore(), kind="spectrum", draws=19, rng=rng)
    assert M.ClusterScore()(D) > reference.max() + 0.3
    assert M.CircleScore()(D) < 0.5


@pytest.mark.parametrize("metric", [M.NeighbourCosine(), M.ClusterScore(4), M.CircleScore()])
def test_random_dictionaries_rank_anywhere_among_random_ones(metric):
    """Under the null, a p-value of 1/20 comes up once in twenty."""
    rng, low = stream(14, type(metric).__name__), 0
    for _ in range(60):
        D = random_directions(30, 8, rng)
        low += metric(D) > M.geometry_reference(D, metric, kind="isotropic", draws=19, rng=rng).max()
    assert stats.binomtest(low, 60, 0.05, alternative="greater").pvalue > 0.001


@pytest.mark.parametrize(("m", "d"), [(64, 32), (5, 12), (40, 8)])
def test_spectrum_matched_dictionaries_keep_lengths_and_singular_values(m, d):
    rng = stream(15, m, d)
    D = rng.normal(size=(m, d)) * np.exp(-np.arange(d) / 4)
    drawn = M.reference_directions(D, kind="spectrum", rng=rng)
    lengths = np.linalg.norm(drawn, axis=1)
    own = np.linalg.svd(D / np.linalg.norm(D, axis=1, keepdims=True), compute_uv=False)
    assert np.allclose(lengths, 1, atol=1e-12)
    assert np.allclose(np.linalg.svd(drawn, compute_uv=False), own, atol=1e-5)
    assert M.participation_ratio(drawn) == pytest.approx(M.participation_ratio(D), rel=1e-4)
    assert np.abs(cosine_similarity(D, drawn)).max() < 1 - 1e-3


def test_covariance_matched_dictionaries_lean_as_asked():
    rng = stream(16)
    drawn = M.reference_directions(
        rng.normal(size=(4000, 3)), kind="covariance", covariance=np.diag([9.0, 1, 1]), rng=rng
    )
    gaussian = rng.normal(size=(200_000, 3)) * [3, 1, 1]
    expected = np.square(gaussian / np.linalg.norm(gaussian, axis=1, keepdims=True)).mean(axis=0)
    assert np.allclose(np.square(drawn).mean(axis=0), expected, atol=0.03)


def test_geometry_at_the_door():
    for call in (lambda: M.NeighbourCosine()(np.eye(1)), lambda: M.CircleScore()(np.zeros((9, 2)))):
        with pytest.raises(InputError, match="at least"):
            call()
    with pytest.raises(InputError, match="distinct"):
        M.ClusterScore(3)(np.ones((9, 2)))
    with pytest.raises(InputError, match="kind"):
        M.reference_directions(np.eye(3), kind="gram", rng=stream(17))
    with pytest.raises(InputError, match="kind='covariance' only"):
        M.reference_directions(np.eye(3), kind="spectrum", covariance=np.eye(3), rng=stream(17))
    with pytest.raises(InputTypeError, match="metric must be"):
        M.geometry_reference(np.eye(3), "cluster", rng=stream(17))
