"""Networks on Boolean inputs against brute force, scikit-learn, linear programming and torch."""

from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pytest
from scipy.optimize import linprog
from scipy.stats import beta, binomtest, chisquare, kstest, norm
from sklearn.linear_model import LinearRegression

import controls as ct
from controls.ground_truth import (
    AllPairs,
    Bernoulli,
    Descent,
    Layer,
    Network,
    Sparse,
    TargetedAnd,
    error_figure,
    interaction_contrasts,
    least_squares_network,
    partial_r2,
    random_network,
    redraw_gaussian,
    redraw_rows,
    redraw_spectrum,
)

E = [(0, 1), (2, 3), (0, 4)]


def rng(*key):
    return np.random.default_rng([11, *key])


def some_network(d=14, m=6, q=0.3, ask="and", key=0):
    return random_network(E, d, rng(key), inputs=Bernoulli(m, q), ask=ask)


def test_contrasts_are_means_over_all_other_inputs():
    network = some_network()
    found = network.contrasts([(0, 1), (5, 2)])
    for row, (i, j) in enumerate([(0, 1), (5, 2)]):
        expected = np.zeros(3)
        for rest in product([0, 1], repeat=4):
            weight = np.prod([0.3 if bit else 0.7 for bit in rest])
            for a, b in product([0, 1], repeat=2):
                x = np.zeros(6)
                x[[k for k in range(6) if k not in (i, j)]] = rest
                x[[i, j]] = a, b
                expected += weight * (1 if a == b else -1) * network.outputs(x[None])[0]
        np.testing.assert_allclose(found[row], expected, atol=1e-12)


def test_contrasts_need_all_four_values():
    X, probabilities = Sparse(5, 1).enumerate()
    with pytest.raises(ct.InputError, match="one that never comes"):
        interaction_contrasts(X, X, probabilities, [(0, 1)])


def test_steering_moves_the_torch_module_so_far():
    import torch

    network = some_network(ask="xor")
    module, X = network.module(), torch.tensor(rng(1).integers(2, size=(7, 6)), dtype=torch.float64)
    before = module(X)
    np.testing.assert_allclose(before.detach().numpy(), network.outputs(X.numpy()), atol=1e-12)
    pairs = [(0, 1), (3, 5)]
    for pair, moved in zip(pairs, network.steered(pairs), strict=True):
        direction = torch.tensor(network.directions([pair])[0])
        handle = module.hidden.register_forward_hook(lambda _, __, hidden, by=direction: hidden + by)
        after = module(X)
        handle.remove()
        np.testing.assert_allclose((after - before).detach().numpy(), np.broadcast_to(moved, (7, 3)), atol=1e-12)


def test_least_squares_readout_is_that_of_scikit_learn():
    network = some_network()
    X, probabilities = network.layer.inputs.enumerate()
    oracle = LinearRegression().fit(network.layer.hidden(X), network.targets(X), sample_weight=probabilities)
    np.testing.assert_allclose(network.outputs(X), oracle.predict(network.layer.hidden(X)), atol=1e-9)


def test_least_squares_readout_of_duplicate_and_dead_neurons_is_short():
    weights = np.vstack([np.eye(4)[[0, 0]] + np.eye(4)[[1, 1]], np.zeros((1, 4))])
    network = least_squares_network(Layer(weights, -1.0, inputs=Bernoulli(4)), [(0, 1)])
    np.testing.assert_allclose(network.readout, [[0.5, 0.5, 0]], atol=1e-12)


@pytest.mark.parametrize("q", [0.5, 0.2])
def test_the_network_made_by_hand_is_exact_and_holds_nothing_else(q):
    network = least_squares_network(TargetedAnd(6, tuple(E), copies=2, q=q).layer, E)
    assert max(abs(errors).max() for errors in network.errors()) < 1e-12
    np.testing.assert_allclose(network.layer.truth.partial_r2_of(network.pairs), 1, atol=1e-12)
    assert network.layer.truth.partial_r2_of(network.others).max() < 1e-25
    np.testing.assert_allclose(network.contrasts(network.pairs), np.eye(3), atol=1e-12)
    np.testing.assert_allclose(network.steered(network.others), 0, atol=1e-12)
    assert len(network.others) == 15 - 3


def test_an_output_holds_of_its_own_interaction_what_least_squares_can_read():
    """At q = ½ the own contrast of a readout that sees the inputs too is the partial R² itself."""
    inputs = Bernoulli(6)
    H = Layer(rng(2).standard_normal((9, 6)), inputs=inputs)
    X, probabilities = inputs.enumerate()
    with_inputs = np.hstack([H.hidden(X), X])
    target = X[:, 0] * X[:, 1]
    fitted = LinearRegression().fit(with_inputs, target).predict(with_inputs)
    own = interaction_contrasts(fitted[:, None], X, probabilities, [(0, 1)])[0, 0]
    assert own == pytest.approx(H.truth.partial_r2((0, 1)), abs=1e-10)


def test_a_readout_over_a_redrawn_layer_has_the_contrast_of_a_mean_neuron():
    """A normal neuron's interaction contrast has a closed mean, however its readout was fitted."""
    network, repeats = some_network(d=30, m=8, q=0.5), 400
    scale = np.sqrt(np.mean(network.layer.weights**2) / (2 * np.pi))
    others = np.arange(7)
    weights = np.array([1, 6, 15, 20, 15, 6, 1]) / 64
    mean_neuron = scale * weights @ (np.sqrt(others + 2) - 2 * np.sqrt(others + 1) + np.sqrt(others))
    drawn = np.array(
        [
            network.with_weights(redraw_gaussian(network.layer.weights, rng(3, k))).contrasts(E).diagonal()
            for k in range(repeats)
        ]
    )
    error = drawn.std(axis=0) / np.sqrt(repeats)
    assert (abs(drawn.mean(axis=0) - mean_neuron * network.readout.sum(axis=1)) < 4 * error).all()


def test_refitting_is_fitting_on_the_new_layer():
    network, weights = some_network(), rng(4).standard_normal((14, 6))
    refitted = network.with_weights(weights, refit=True)
    np.testing.assert_allclose(
        refitted.readout, least_squares_network(Layer(weights, inputs=Bernoulli(6, 0.3)), E).readout
    )
    np.testing.assert_array_equal(network.with_weights(weights).readout, network.readout)


def test_problems_of_a_network_carry_all_of_it():
    network = some_network()
    problem = network.sample(50, rng(5), concepts=(2, 3), ask="xor")
    source = problem.source
    np.testing.assert_allclose(source.extract(source.model, source.inputs), problem.X)
    np.testing.assert_allclose(network.outputs(problem.array_at("input")), problem.array_at("output"))
    assert {name for name, _ in source.model.named_parameters()} >= {"readout.weight", "readout.bias"}
    np.testing.assert_array_equal(problem.labels, problem.groups["x2"] ^ problem.groups["x3"])


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: least_squares_network(TargetedAnd(4, ((0, 1),)).layer, []), "pairs must be pairs"),
        (lambda: some_network().contrasts([(0, 1, 2)]), "pairs must be pairs"),
        (lambda: Network(None, np.zeros((1, 1)), np.zeros(1), ((0, 1),)), "layer must be a Layer"),
        (lambda: Network(some_network().layer, np.zeros((2, 3)), np.zeros(2), ((0, 1),)), "readout must have shape"),
        (lambda: redraw_rows(np.zeros(3), rng()), "weights must be a finite matrix"),
        (lambda: Descent(p=0.5), "p must be at least 1"),
        (lambda: Descent(dtype="float16"), "dtype must be one of"),
        (
            lambda: Descent(steps=1).train(
                least_squares_network(Layer(np.ones((2, 6)), activation="square", inputs=Bernoulli(6)), E)
            ),
            "activation 'relu'",
        ),
        (lambda: error_figure({}), "at least one network"),
    ],
)
def test_refusals(make, sentence):
    with pytest.raises(ct.InputError, match=sentence):
        make()


def test_redrawn_spectra_are_kept_and_their_vectors_uniform():
    weights, repeats = rng(6).standard_normal((7, 4)) * [1, 2, 3, 4], 500
    drawn = np.stack([redraw_spectrum(weights, rng(7, k)) for k in range(repeats)])
    np.testing.assert_allclose(
        np.linalg.svd(drawn, compute_uv=False), np.tile(np.linalg.svd(weights)[1], (repeats, 1)), atol=1e-10
    )
    # the squared share of a uniform unit vector along one axis is Beta; the signs of both sides are fair
    first = np.linalg.svd(drawn)[0][:, 0, 0]
    assert kstest(first**2, beta(0.5, 3).cdf).pvalue > 1e-3
    assert binomtest(int((drawn[:, 0, 0] > 0).sum()), repeats).pvalue > 1e-3


def test_a_frame_has_fair_signs():
    """Without the signs of R, the leading entry of Q would always be negative."""
    from controls.ground_truth.redraws import uniform_frame

    leading = np.array([uniform_frame(5, 3, rng(8, k))[0] for k in range(400)])
    for column in leading.T:
        assert binomtest(int((column > 0).sum()), 400).pvalue > 1e-3
        assert kstest(column**2, beta(0.5, 2).cdf).pvalue > 1e-3


def test_redrawn_rows_keep_their_values_in_uniform_order():
    weights = np.array([[1.0, 2.0, 3.0], [0.0, 0.0, 7.0]])
    drawn = np.stack([redraw_rows(weights, rng(9, k)) for k in range(600)])
    np.testing.assert_array_equal(np.sort(drawn, axis=2), np.broadcast_to(weights, drawn.shape))
    orders = np.unique(drawn[:, 0], axis=0, return_counts=True)[1]
    assert len(orders) == 6
    assert chisquare(orders).pvalue > 1e-3
    rows_apart = np.unique(drawn[:, :, 2], axis=0, return_counts=True)[1]  # one row's order says nothing of another's
    assert len(rows_apart) == 6


def test_normal_redraws_keep_the_root_mean_square():
    weights = np.full((40, 30), 3.0)
    drawn = redraw_gaussian(weights, rng(10))
    assert kstest(drawn.ravel() / 3, norm.cdf).pvalue > 1e-3


@pytest.mark.parametrize("equal_mass", [False, True])
def test_a_readout_trained_on_squares_is_weighted_least_squares(equal_mass):
    start = replace(some_network(d=8), readout=np.zeros((3, 8)))
    trained = Descent(equal_mass=equal_mass, dtype="float64", learning_rate=0.1).train(start, frozen=True)
    X, probabilities = start.layer.inputs.enumerate()
    targets = start.targets(X)
    share = (targets * probabilities[:, None]).sum() / 3
    for k in range(3):
        mass = probabilities * np.where(targets[:, k] > 0, 1 / share, 1 / (1 - share)) if equal_mass else probabilities
        oracle = LinearRegression().fit(start.layer.hidden(X), targets[:, k], sample_weight=mass)
        ours, best = (
            np.square(outputs - targets[:, k]) @ mass
            for outputs in (trained.outputs(X)[:, k], oracle.predict(start.layer.hidden(X)))
        )
        assert best - 1e-12 <= ours < 1.01 * best


def test_training_is_repeatable_and_leaves_its_start_alone():
    start = some_network()
    kept = [np.array(part) for part in (start.layer.weights, start.readout, start.offsets)]
    first, second = (Descent(steps=50, p=3).train(start) for _ in range(2))
    for ours, theirs in ((first.readout, second.readout), (first.layer.weights, second.layer.weights)):
        np.testing.assert_array_equal(ours, theirs)
    for part, before in zip((start.layer.weights, start.readout, start.offsets), kept, strict=True):
        np.testing.assert_array_equal(part, before)
    assert abs(first.layer.weights - start.layer.weights).max() > 0.01
    frozen = Descent(steps=50).train(start, frozen=True)
    assert frozen.layer is start.layer


def test_single_and_double_precision_end_at_the_same_readout():
    start = some_network()
    single, double = (
        Descent(steps=1200, p=4, equal_mass=True, dtype=dtype).train(start, frozen=True)
        for dtype in ("float32", "float64")
    )
    assert abs(double.readout - start.readout).max() > 0.05
    np.testing.assert_allclose(single.outputs(np.eye(6)), double.outputs(np.eye(6)), atol=5e-3)


def test_no_trained_readout_beats_the_minimax_one_and_large_p_comes_near():
    task = AllPairs(12, m=6, s=2, descent=Descent(p=8, steps=2000))
    frozen = task.frozen(0)
    X, _ = task.inputs.enumerate()
    H, Y = frozen.layer.hidden(X), frozen.targets(X)
    worst = abs(frozen.outputs(X) - Y).max(axis=0)
    columns = np.hstack([H, np.ones((len(X), 1))])
    for k in range(0, 15, 5):
        bounds = [(None, None)] * columns.shape[1] + [(0, None)]
        slack = -np.ones((len(X), 1))
        above, below = np.hstack([columns, slack]), np.hstack([-columns, slack])
        best = linprog(
            np.eye(columns.shape[1] + 1)[-1],
            A_ub=np.vstack([above, below]),
            b_ub=np.concatenate([Y[:, k], -Y[:, k]]),
            bounds=bounds,
            method="highs",
        ).fun
        assert best - 1e-9 <= worst[k] < best + 0.15


def test_a_trained_layer_beats_its_frozen_twin_on_zeros_and_on_ones():
    task = AllPairs(20, m=8, descent=Descent(p=4, equal_mass=True, steps=600))
    for seed in range(2):
        for ours, twins in zip(task.trained(seed).errors(), task.frozen(seed).errors(), strict=True):
            assert abs(ours).max() < abs(twins).max()
    assert abs(task.start(0).layer.weights - task.start(0, twin=True).layer.weights).max() > 0.1
    assert sum(map(len, task.frozen(0).errors())) == 28 * (1 + 8 + 28 + 56)


def test_training_spends_the_layer_on_the_pairs_that_are_asked():
    start = random_network(E, 6, rng(12), inputs=Bernoulli(6))
    trained = Descent(steps=1500).train(start)
    pairs = list(combinations(range(6), 2))
    X, probabilities = start.layer.inputs.enumerate()
    T = np.stack([(X[:, i] - 0.5) * (X[:, j] - 0.5) for i, j in pairs], axis=1)
    shares = partial_r2(trained.layer.hidden(X), T, probabilities, X)
    np.testing.assert_allclose(shares, trained.layer.truth.partial_r2_of(pairs), atol=1e-9)
    assert shares.sum() < 6 + 1e-9  # the budget
    asked = np.isin(np.arange(15), [pairs.index(pair) for pair in E])
    assert shares[asked].min() > 0.9 > 0.5 > shares[~asked].mean()


def test_the_error_figure_has_the_shares_of_errors_at_least_so_large():
    networks = {"one": some_network(), "two": some_network(key=1)}
    figure = error_figure(networks)
    assert [axes.get_title() for axes in figure.axes] == ["targets of 0", "targets of 1"]
    for which, axes in enumerate(figure.axes):
        for line, network in zip(axes.get_lines(), networks.values(), strict=True):
            sizes = abs(network.errors()[which])
            x, y = np.asarray(line.get_data(), dtype=float)
            middle = len(x) // 2
            assert y[middle] == pytest.approx((sizes >= x[middle]).mean())
