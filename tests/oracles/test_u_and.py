"""Sparse universal AND: error laws against the binomial and many layers, worst cases against all inputs."""

from itertools import combinations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import binom, binomtest

from controls.core.errors import InputError
from controls.core.rng import stream
from controls.ground_truth import Bernoulli, Sparse, SparseAnd, bernstein_bound, combine, error_law, optimal_p

CASE_INPUTS = {"11": (0, 1, 2), "10": (0, 2, 3), "00": (2, 3, 4)}  # s = 3 active ones, of the pair (0, 1)


@pytest.mark.parametrize("case", CASE_INPUTS)
@pytest.mark.parametrize(("s", "p"), [(2, 0.3), (3, 0.1), (7, 0.05)])
def test_error_law_is_that_of_the_binomial(case, s, p):
    ones = case.count("1")
    others = np.arange(s - ones + 1)
    chance = binom.pmf(others, s - ones, p)
    errors = np.maximum(ones + others - 1, 0) - (ones == 2)
    mean = chance @ errors
    law, xor = error_law(case, s=s, p=p), error_law(case, s=s, p=p, ask="xor")
    assert law.mean == pytest.approx(mean)
    assert law.sd(4) ** 2 * 4 == pytest.approx(chance @ errors**2 - mean**2)
    assert (xor.mean, xor.sd(9)) == pytest.approx((-2 * mean, 2 * law.sd(9)))


@pytest.mark.parametrize("d", [64, 256, 1024])
def test_errors_of_many_layers_follow_the_law_at_three_widths(d):
    X = np.zeros((3, 8))
    for row, active in zip(X, CASE_INPUTS.values(), strict=True):
        row[list(active)] = 1
    truth = combine(X, (0, 1), "and")
    worlds = [SparseAnd(8, d, seed=seed) for seed in range(1500)]
    common = np.array([world.n_common[0, 1] for world in worlds])
    errors = np.stack([world.read(X, [(0, 1)])[:, 0] for world in worlds]) - truth
    assert np.array_equal(np.isnan(errors[:, 0]), common == 0)

    errors, common = errors[common > 0], common[common > 0]
    for column, case in zip(errors.T, CASE_INPUTS, strict=True):
        law = worlds[0].error_law(case)
        z = (column - law.mean) / law.sd(common)
        assert abs(z.mean()) < 4 / np.sqrt(len(z))
        bar = 4 * np.std(z**2) / np.sqrt(len(z))
        assert abs(np.mean(z**2) - 1) < bar
        assert abs(np.mean((1.5 * z) ** 2) - 1) > bar  # a law whose standard deviation is off by half is seen


def test_xor_is_read_from_inputs_and_neurons():
    world = SparseAnd(9, 400)
    X = Sparse(9, 3).sample(60, stream(0, "X"))
    pairs = [pair for pair in [(0, 1), (3, 4), (8, 2), (5, 6)] if world.n_common[pair]]
    both, xor = world.read(X, pairs), world.read(X, pairs, ask="xor")
    truth = np.stack([combine(X, pair, "and") for pair in pairs], axis=1)
    odd = np.stack([combine(X, pair, "xor") for pair in pairs], axis=1)
    np.testing.assert_allclose(xor - odd, -2 * (both - truth), atol=1e-12)
    assert np.abs(both - truth).max() > 0.01


def test_pairs_without_a_common_neuron_are_as_many_as_expected():
    worlds = [SparseAnd(4, 64, p=0.1, seed=seed) for seed in range(500)]
    missing = [world.n_common[0, 1] == 0 for world in worlds]
    assert binomtest(int(np.sum(missing)), 500, (1 - 0.1**2) ** 64).pvalue > 1e-3
    unread = worlds[missing.index(True)]
    assert np.isnan(unread.readoff([(0, 1)])[:, 4:]).all()
    assert np.isnan(unread.worst_error([(0, 1)])).all()


def test_the_worst_error_is_that_over_all_inputs():
    compared = 0
    for s in (2, 3, 4):
        world = SparseAnd(9, 60, s=s, p=0.3, seed=s)
        X, _ = Sparse(9, s).enumerate()
        for pair in combinations(range(9), 2):
            for ask in ("and", "xor"):
                errors = np.abs(world.read(X, [pair], ask=ask)[:, 0] - combine(X, pair, ask))
                np.testing.assert_allclose(world.worst_error([pair], ask=ask)[0], errors.max(), atol=1e-12)
                compared += np.isfinite(errors.max())
    assert compared > 150


def test_the_bound_holds_for_all_pairs_and_inputs_at_once():
    pairs = list(combinations(range(10), 2))
    beyond = ratio = 0
    for seed in range(100):
        world = SparseAnd(10, 3000, p=0.1, seed=seed)
        bound = bernstein_bound(m=10, s=3, p=0.1, n_common=float(world.n_common.min()))
        worst = world.worst_error(pairs).max()
        beyond += worst > bound
        ratio += bound / worst / 100
    assert binomtest(int(beyond), 100, 0.5, alternative="greater").pvalue > 1e-3
    assert 1 < ratio < 3


@pytest.mark.parametrize(("s", "d"), [(2, 500), (3, 16000), (6, 2000)])
def test_the_density_errs_least(s, d):
    found = minimize_scalar(lambda p: (s - 1) ** 2 * p**2 + (s - 1) / (d * p), bounds=(1e-4, 0.9), method="bounded")
    assert optimal_p(s, d) == pytest.approx(found.x, rel=1e-3)


def test_a_pair_is_null_exactly_where_no_neuron_sees_it():
    world = SparseAnd(32, 64, p=0.104, inputs=Bernoulli(32, 2 / 32))
    pairs = list(combinations(range(32), 2))[::9]
    shares = np.array([world.truth.partial_r2(pair, balanced=True) for pair in pairs])
    unseen = np.array([world.n_common[pair] == 0 for pair in pairs])
    assert unseen.any()
    assert not unseen.all()
    assert unseen.tolist() == [world.truth.is_null(pair) for pair in pairs]
    assert shares[unseen].max() < 1e-20
    assert shares[~unseen].min() > 0.1


def test_the_same_seed_is_the_same_layer():
    one, same, other = SparseAnd(9, 40, seed=1), SparseAnd(9, 40, seed=1), SparseAnd(9, 40, seed=2)
    assert np.array_equal(one.layer.weights, same.layer.weights)
    assert not np.array_equal(one.layer.weights, other.layer.weights)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: SparseAnd(9, 40, s=1), "s must be at least 2"),
        (lambda: SparseAnd(9, 40, s=10), "s must be at most m = 9"),
        (lambda: SparseAnd(9, 40, p=1.2), "p must be between 0 and 1"),
        (lambda: SparseAnd(9, 40).readoff([(0, 9)]), "pairs must be different positions"),
        (lambda: SparseAnd(9, 40).readoff([(0, 1, 2)]), "two positions each"),
        (lambda: SparseAnd(9, 40).read(np.eye(9), [(0, 1)], ask="or"), "ask must be one of 'and', 'xor'"),
        (lambda: error_law("01", s=3, p=0.1), "case must be one of"),
        (lambda: error_law("11", s=1, p=0.1), "s must be at least 2"),
        (lambda: optimal_p(1, 40), "s must be at least 2"),
        (lambda: bernstein_bound(m=9, s=2, p=0.1, n_common=4, failure=0.0), "failure must be between 0 and 1"),
    ],
)
def test_bad_arguments_are_one_sentence(build, words):
    with pytest.raises(InputError, match=words):
        build()
