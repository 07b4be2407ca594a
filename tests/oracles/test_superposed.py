"""Inputs in superposition: interference and its bias, the Gaussian layer's law, over many worlds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2, norm

from controls.core.errors import InputError
from controls.core.rng import stream
from controls.ground_truth import Sparse, combine, random_directions
from controls.ground_truth.interference import GATES, counting_bias, gated_mean, interference_sd
from controls.ground_truth.superposed import SuperposedLayer
from controls.ground_truth.superposed_and import SuperposedAnd, TargetedSuperposedAnd
from controls.ground_truth.superposed_gaussian import SuperposedGaussian


def case_inputs(m, s, case, n, rng):
    """Rows of s active inputs among m, of which the pair (0, 1) is as the case says."""
    X = np.zeros((n, m))
    X[:, 2:] = Sparse(m - 2, s - case.count("1")).sample(n, rng)
    X[:, :2] = [int(case[0]), int(case[1])]
    return X


@pytest.mark.parametrize("d0", [16, 64, 256])
def test_interference_has_the_predicted_standard_deviation_at_three_sizes(d0):
    m, d, s, worlds = 30, 12, 4, 1500
    rng = stream(0, "interference", d0)
    receptive = (rng.random((d, m)) < 0.2).astype(float)
    X = Sparse(m, s).sample(8, rng)
    predicted = interference_sd(receptive, X, d0)
    noise = np.empty((worlds, *predicted.shape))
    for world in noise:
        F = random_directions(m, d0, rng)
        world[:] = X @ (F @ F.T) @ receptive.T - X @ receptive.T
    there = predicted > 0
    assert np.abs(noise[:, ~there]).max(initial=0) < 1e-12
    level = 1e-3 / there.sum()
    z = noise.mean(axis=0)[there] / predicted[there] * worlds**0.5
    assert np.abs(z).max() < norm.isf(level / 2)
    ratio = (noise[:, there] ** 2).mean(axis=0) / predicted[there] ** 2
    spread = (noise[:, there] ** 2).std(axis=0) / predicted[there] ** 2 / worlds**0.5
    assert np.abs((ratio - 1) / spread).max() < norm.isf(level / 2) + 0.5  # squares are skewed


@pytest.mark.parametrize("gate", GATES)
def test_the_expected_value_of_a_gate_equals_quadrature(gate):
    g = np.linspace(-9, 9, 20_001)
    for count, sd in ((0.0, 0.3), (1.0, 0.5), (2.0, 0.2)):
        z = GATES[gate].scale * (count + sd * g) + GATES[gate].bias
        value = np.maximum(z, 0) if GATES[gate].activation == "relu" else np.clip(z, 0, 1)
        by_sum = (norm.pdf(g) * value).sum() * (g[1] - g[0])
        assert gated_mean(np.array(count), np.array(sd), GATES[gate]) == pytest.approx(by_sum, abs=1e-6)


@pytest.mark.parametrize("case", ["00", "10", "11"])
@pytest.mark.parametrize("gate", GATES)
def test_biases_of_superposed_ands_follow_the_law(gate, case):
    m, d0, s, worlds = 60, 40, 3, 80
    pairs = [(2 * k, 2 * k + 1) for k in range(20)]
    rng, off, bias = stream(0, "superposed", gate, case), [], []
    for seed in range(worlds):
        world = SuperposedAnd(m, d0, 200, s, p=0.12, gate=gate, seed=seed)
        X = case_inputs(m, s, case, 30, rng)
        errors = [world.read(X[:, moved(m, pair)], [pair]).mean() - (case == "11") for pair in pairs]
        bias.append(world.bias(case, pairs))
        off.append(np.nanmean(errors - bias[-1]))
    error = np.std(off) / worlds**0.5
    assert abs(np.mean(off)) < 3.5 * error
    assert 3.5 * error < max(0.06, 0.3 * abs(np.nanmean(bias)))  # a bias that matters is seen


def moved(m, pair):
    """Which column of inputs made for the pair (0, 1) each input takes, where another pair is asked about."""
    return np.argsort([*pair, *np.delete(np.arange(m), pair)])


def test_targeted_ands_take_their_own_neurons_and_follow_the_law():
    m, s = 60, 2
    rng, off, naive = stream(0, "targeted"), [], []
    X = case_inputs(m, s, "10", 60, rng)
    for seed in range(60):
        world = TargetedSuperposedAnd(m, 32, 200, ((0, 1), *((k, k + 3) for k in range(2, 50))), 16, s, seed=seed)
        error = world.read(X, [(0, 1)]).mean()
        off.append(error - world.bias("10", [(0, 1)])[0])
        naive.append(error)
    assert abs(np.mean(off)) < 3.5 * np.std(off) / 60**0.5
    assert np.mean(naive) > 10 * np.std(naive) / 60**0.5
    assert world.load == pytest.approx(2 * 49 * 16 / 200, rel=0.1)
    assert np.isnan(world.read(X, [(0, 2)])).all()
    assert np.isnan(world.bias("10", [(0, 2)])).all()


def test_a_margin_takes_most_of_the_bias_away():
    bias = {gate: float(counting_bias("10", 20, m=512, s=2, d0=512, gate=gate)) for gate in GATES}
    assert bias["relu"] > 0.1
    assert bias["margin"] < bias["clipped"] < 0.65 * bias["relu"]


@pytest.mark.parametrize("ask", ["and", "xor"])
@pytest.mark.parametrize("d", [64, 256, 1024])
def test_the_gaussian_layer_on_superposed_inputs_has_the_predicted_law_at_three_widths(ask, d):
    m, d0, s, worlds = 40, 24, 3, 200
    pairs = [(0, 1), (5, 9), (12, 13)]
    rng = stream(0, "superposed Gaussian", d)
    X = np.concatenate([case_inputs(m, s, case, 4, rng) for case in ("00", "10", "11")])
    z = np.empty((worlds, len(X), len(pairs)))
    for seed in range(worlds):
        world = SuperposedGaussian(m, d0, d, s, seed)
        mean, sd = world.law(X, pairs, ask=ask)
        z[seed] = (world.read(X, pairs, ask=ask) - mean) / sd
    level = norm.isf(1e-3 / z[0].size / 2)
    assert np.abs(z.mean(axis=0)).max() * worlds**0.5 < level
    assert chi2.cdf((z**2).sum(axis=0), worlds).min() > 1e-3 / z[0].size / 2
    squares = (z**2).mean(axis=(1, 2))
    assert abs(squares.mean() - 1) < 4 * squares.std() / worlds**0.5
    assert squares.std() / worlds**0.5 < 0.05


def test_the_mean_of_the_gaussian_layer_is_right_where_directions_do_not_overlap():
    world = SuperposedGaussian(4, 4, 10, 2)
    object.__setattr__(world.layer, "embedding", np.eye(4))
    X = np.array([[1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 1, 1]], float)
    for ask in ("and", "xor"):
        assert world.law(X, [(0, 1)], ask=ask)[0][:, 0] == pytest.approx(combine(X, (0, 1), ask), abs=1e-12)


def test_problem_source_and_truth_of_a_superposed_layer():
    world = SuperposedGaussian(10, 6, 20)
    problem = world.sample(50, stream(0, "X"), concepts=(2, 4), ask="xor")
    source = problem.source
    np.testing.assert_allclose(source.extract(source.model, source.inputs), problem.X, atol=1e-12)
    bits, read = problem.array_at("bits"), problem.array_at("input")
    np.testing.assert_allclose(read, bits @ world.layer.embedding)
    np.testing.assert_array_equal(problem.labels, (bits[:, 2] != bits[:, 4]).astype(int))
    np.testing.assert_array_equal(problem.groups["x4"], bits[:, 4])
    assert {name: tuple(value.shape) for name, value in source.model.named_parameters()} == {"linear.weight": (20, 6)}
    assert 0 <= world.truth.partial_r2((2, 4)) <= 1 + 1e-12


def test_what_cannot_be_is_refused_in_one_sentence():
    with pytest.raises(InputError, match="gate must be one of 'relu', 'margin', 'clipped', got 'step'"):
        SuperposedAnd(10, 5, 20, gate="step")
    with pytest.raises(InputError, match="s must be at most m = 10, got 11"):
        SuperposedAnd(10, 5, 20, s=11)
    with pytest.raises(InputError, match="targets must be at most 3, the pairs of 3 inputs, got 4"):
        _ = TargetedSuperposedAnd(3, 5, 20, targets=4).pairs
    with pytest.raises(InputError, match="as many columns"):
        SuperposedLayer(np.ones((3, 4)), np.ones((5, 3)), inputs=Sparse(5, 2))
