"""Rare features: counts, places and moments of what is drawn, beside their laws."""

import numpy as np
import pytest
from scipy import stats

from controls.core.errors import InputError
from controls.ground_truth import PlantedDictionary, RareFeatures, log_uniform_rates, random_directions

RATES = np.array([1.0, 0.7, 0.3, 0.05, 0.002, 1e-7])


def test_counts_are_binomial_and_places_uniform():
    rng = np.random.default_rng(0)
    law, n, repeats = RareFeatures(RATES), 50, 4000
    active = [law.sparse(n, rng).toarray() > 0 for _ in range(repeats)]
    counts = np.sum(active, axis=1)  # (repeats, m)
    assert (counts[:, 0] == n).all()
    for feature in (1, 2, 3):
        possible = np.arange(n + 1)
        expected = repeats * stats.binom.pmf(possible, n, RATES[feature])
        seen = np.bincount(counts[:, feature], minlength=n + 1)
        some = expected > 5
        pooled = [*np.stack([seen[some], expected[some]], axis=1), (seen[~some].sum(), expected[~some].sum() + 1e-9)]
        seen, expected = np.array([pair for pair in pooled if pair[1] > 1]).T
        assert stats.chisquare(seen, expected * seen.sum() / expected.sum()).pvalue > 1e-4
    by_place = np.sum(active, axis=0)[:, 1:4]
    z = (by_place - repeats * RATES[1:4]) / np.sqrt(repeats * RATES[1:4] * (1 - RATES[1:4]))
    assert np.abs(z).max() < 4.5


def test_moments_are_exact():
    rng = np.random.default_rng(1)
    law = RareFeatures(RATES[1:4], sigma=0.5)
    rows = law.sample(200_000, rng)
    error = rows.std(axis=0) / np.sqrt(len(rows))
    assert (np.abs(rows.mean(axis=0) - law.mean) < 4.5 * error).all()
    squares = np.square(rows - law.mean)
    error = squares.std(axis=0) / np.sqrt(len(rows))
    assert (np.abs(squares.mean(axis=0) - np.diag(law.covariance)) < 4.5 * error).all()


def test_rates_are_log_uniform():
    rates = log_uniform_rates(5000, np.random.default_rng(2), low=1e-4, high=1e-1)
    assert stats.kstest(np.log10(rates), stats.uniform(-4, 3).cdf).pvalue > 1e-3


def test_streamed_activations_have_the_planted_moments():
    rng = np.random.default_rng(3)
    world = PlantedDictionary(random_directions(40, 8, rng), RareFeatures(np.full(40, 0.1)), noise=0.1)
    rows = np.concatenate([next(world.batches(5000, rng)) for _ in range(10)])
    assert rows.dtype == np.float32
    F = world.directions
    assert rows.mean(axis=0) == pytest.approx(world.features.mean @ F, abs=0.02)
    covariance = F.T @ world.features.covariance @ F + 0.01 * np.eye(8)
    assert np.cov(rows.T) == pytest.approx(covariance, abs=0.03)


@pytest.mark.parametrize("rates", [[0.0, 0.1], [[0.1]], [], [1.5], [np.nan]])
def test_rates_that_are_none_are_refused(rates):
    with pytest.raises(InputError, match="rates must be an array"):
        RareFeatures(np.array(rates))
