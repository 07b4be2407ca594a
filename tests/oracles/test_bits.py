"""Laws of Boolean inputs against enumeration, and exact answers against brute force, scikit-learn and each other."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import chisquare
from sklearn.linear_model import LinearRegression

from controls.core.errors import InputError
from controls.core.rng import stream
from controls.ground_truth import (
    Bernoulli,
    Layer,
    Signs,
    Sparse,
    combine,
    null_certificate,
    partial_r2,
)

LAWS = [
    (Bernoulli(5, 0.3), ()),
    (Bernoulli(5, 0.2), (1, 4)),
    (Sparse(6, 2), ()),
    (Sparse(5, 2, at_most=True), ()),
    (Signs(4), (0,)),
]


@pytest.mark.parametrize(("law", "balanced"), LAWS, ids=str)
def test_samples_follow_the_law_that_is_enumerated(law, balanced):
    X, probabilities = law.enumerate(balanced=balanced)
    assert len(np.unique(X, axis=0)) == len(X)
    assert probabilities.sum() == pytest.approx(1)
    assert law.rates(balanced=balanced) == pytest.approx(probabilities @ (X > 0))

    n = 20_000
    drawn = law.sample(n, stream(0, "law", str(law)), balanced=balanced)
    rows = {tuple(row): place for place, row in enumerate(X)}
    counts = np.bincount([rows[tuple(row)] for row in drawn], minlength=len(X))
    assert chisquare(counts, n * probabilities).pvalue > 1e-3


def test_a_law_that_is_a_little_off_is_seen():
    X, probabilities = Bernoulli(3, 0.32).enumerate()
    drawn = Bernoulli(3, 0.3).sample(20_000, stream(0, "off"))
    counts = [int((drawn == row).all(axis=1).sum()) for row in X]
    assert chisquare(counts, 20_000 * probabilities).pvalue < 1e-3


def test_labels_are_what_python_says():
    X, _ = Bernoulli(4).enumerate()
    for concepts in [(0, 1), (2, 0, 3)]:
        bits = [[bool(row[i]) for i in concepts] for row in X]
        assert combine(X, concepts, "and").tolist() == [int(all(row)) for row in bits]
        assert combine(X, concepts, "or").tolist() == [int(any(row)) for row in bits]
        assert combine(X, concepts, "xor").tolist() == [sum(row) % 2 for row in bits]
        assert combine(2 * X - 1, concepts, "and").tolist() == [int(all(row)) for row in bits]


def test_and_or_xor_are_one_product_and_linear():
    X, probabilities = Bernoulli(4, 0.3).enumerate()
    H = stream(1, "H").standard_normal((16, 6))
    T = np.stack([combine(X, (0, 2), ask, rates=0.3) for ask in ("and", "or", "xor", "product")], axis=1)
    shares = partial_r2(H, T, probabilities, X)
    assert shares == pytest.approx(np.full(4, shares[0]))


def test_partial_r2_is_that_of_weighted_least_squares():
    rng = stream(2, "wls")
    H, T, Z = rng.standard_normal((40, 5)), rng.standard_normal((40, 3)), rng.standard_normal((40, 2))
    H = np.hstack([H, H[:, :1], np.zeros((40, 1))])  # a duplicate and a dead neuron
    weights = rng.dirichlet(np.ones(40))

    def error(A, t):
        fitted = LinearRegression().fit(A, t, sample_weight=weights).predict(A)
        return weights @ (t - fitted) ** 2

    expected = [1 - error(np.hstack([Z, H]), t) / error(Z, t) for t in T.T]
    assert partial_r2(H, T, weights, Z) == pytest.approx(expected)
    assert np.isnan(partial_r2(H, Z[:, 0], weights, Z)).all()


def test_noise_takes_what_a_large_sample_says():
    X, probabilities = Bernoulli(4).enumerate()
    H, t = stream(3, "H").standard_normal((16, 2)), combine(X, (0, 1), "product")
    exact = partial_r2(H, t, probabilities, X, noise=0.7)[0]
    rows = stream(3, "rows").integers(16, size=400_000)
    noisy = H[rows] + 0.7 * stream(3, "noise").standard_normal((400_000, 2))
    before = LinearRegression().fit(X[rows], t[rows])
    after = LinearRegression().fit(np.hstack([X[rows], noisy]), t[rows])
    left = 1 - before.score(X[rows], t[rows])
    gained = after.score(np.hstack([X[rows], noisy]), t[rows]) - before.score(X[rows], t[rows])
    assert exact == pytest.approx(gained / left, abs=0.005)
    assert exact < partial_r2(H, t, probabilities, X)[0] - 0.02


def _layers():
    rng = stream(4, "layers")
    sparse = (rng.random((9, 7)) < 0.4).astype(float)
    dense = rng.standard_normal((6, 7))
    yield Layer(sparse, -1.0, inputs=Bernoulli(7, 0.2))
    yield Layer(dense, rng.standard_normal(6), "clipped", inputs=Bernoulli(7, 0.4))
    yield Layer(dense, inputs=Signs(7))
    yield Layer(dense, 0.3, "square", inputs=Signs(7))
    yield Layer(np.vstack([dense, np.zeros((1, 7))]), inputs=Bernoulli(7, 0.7))


@pytest.mark.parametrize("layer", list(_layers()), ids=range(5))
def test_exact_answers_by_expansion_are_those_by_enumeration(layer):
    for concepts, balanced, noise in [((0, 1), True, 0.0), ((2, 5), False, 0.3), ((1, 3, 6), True, 0.1)]:
        fair = concepts if balanced else ()
        X, probabilities = layer.inputs.enumerate(balanced=fair)
        t = combine(X, concepts, "product", rates=layer.inputs.rates(balanced=fair))
        expected = partial_r2(layer.hidden(X), t, probabilities, X, noise=noise)[0]
        assert layer.truth.partial_r2(concepts, balanced=balanced, noise=noise) == pytest.approx(expected, abs=1e-9)


def test_products_of_fewer_concepts_are_removed_on_request():
    changed = 0
    layers = list(_layers())
    for layer in [*layers, Layer(layers[0].weights, -1.0, inputs=Sparse(7, 3))]:
        X, probabilities = layer.inputs.enumerate()
        rates = layer.inputs.rates()
        parts = [(1, 3), (1, 6), (3, 6), (1, 3, 6)]
        T = np.stack([combine(X, part, "product", rates=rates) for part in parts], axis=1)
        expected = partial_r2(layer.hidden(X), T[:, 3], probabilities, np.hstack([X, T[:, :3]]))[0]
        value = layer.truth.partial_r2((1, 3, 6), lower=True)
        assert value == pytest.approx(expected, abs=1e-9)
        changed += abs(value - layer.truth.partial_r2((1, 3, 6))) > 1e-6
    assert changed > 2


def test_answers_do_not_need_few_inputs():
    weights = np.zeros((3, 80))
    weights[0, [0, 79]] = weights[1, [0, 1]] = weights[2, [1, 79, 40]] = 1
    small = np.zeros((3, 4))
    small[0, [0, 3]] = small[1, [0, 1]] = small[2, [1, 3, 2]] = 1
    wide, narrow = (Layer(W, -1.0, inputs=Bernoulli(W.shape[1], 0.1)).truth for W in (weights, small))
    for balanced in (False, True):
        value = narrow.partial_r2((1, 3), balanced=balanced)
        assert wide.partial_r2((1, 79), balanced=balanced) == pytest.approx(value)
        assert 0.05 < value < 0.95


def test_what_is_called_null_is_null():
    certified = 0
    for layer in _layers():
        for order in (2, 3):
            for concepts in combinations(range(7), order):
                share = layer.truth.partial_r2(concepts, balanced=True) if layer.truth.is_null(concepts) else 0.0
                certified += layer.truth.is_null(concepts)
                assert share < 1e-18
    assert certified > 80  # 35 triples each of the square and of the odd layer, and those that nobody sees


def test_no_null_where_inputs_depend_on_each_other():
    weights = (stream(6, "weights").random((30, 12)) < 0.3).astype(float)
    weights[weights[:, 0] > 0, 1] = 0
    sparse, free = (Layer(weights, -1.0, inputs=law).truth for law in (Sparse(12, 3), Bernoulli(12, 0.25)))
    assert null_certificate(weights, (0, 1))
    assert free.is_null((0, 1))
    assert free.partial_r2((0, 1)) < 1e-20
    assert not sparse.is_null((0, 1))
    assert sparse.partial_r2((0, 1)) > 0.03


def test_the_budget_is_the_number_of_neurons():
    pairs = list(combinations(range(7), 2))
    for layer in _layers():
        assert layer.truth.partial_r2_of(pairs).sum() <= layer.d + 1e-9


@pytest.mark.parametrize("layer", list(_layers()), ids=range(5))
def test_problems_are_the_layer_and_its_module(layer):
    problem = layer.sample(50, stream(5, "problem"), concepts=(2, 4), ask="xor", balanced=True, noise=0.1)
    X = problem.array_at("input")
    source = problem.source
    np.testing.assert_allclose(source.extract(source.model, source.inputs), problem.X, atol=1e-12)
    assert source.model.linear.weight.detach().numpy() == pytest.approx(layer.weights)
    assert 0.05 < np.std(problem.X - layer.hidden(X)) < 0.2
    assert problem.labels.tolist() == ((X[:, 2] > 0) != (X[:, 4] > 0)).astype(int).tolist()
    assert problem.groups["x4"].tolist() == (X[:, 4] > 0).astype(int).tolist()
    assert problem.unit is None


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: Bernoulli(0), "m must be at least 1"),
        (lambda: Bernoulli(3, 1.0), "q must be between 0 and 1"),
        (lambda: Bernoulli(17).enumerate(), "m must be at most 16"),
        (lambda: Bernoulli(3).rates(balanced=(0, 3)), "balanced must be different positions from 0 to 2"),
        (lambda: Sparse(3, 4), "s must be at most m = 3"),
        (lambda: Sparse(40, 6).enumerate(), "At most 65,536 inputs"),
        (lambda: Sparse(4, 2).sample(3, stream(0, "x"), balanced=(0,)), "take Bernoulli inputs"),
        (lambda: combine(np.eye(3), (0, 1), "nand"), "ask must be one of 'and'"),
        (lambda: combine(np.eye(3), (0, 0), "and"), "concepts must be different positions"),
        (lambda: combine(np.eye(3), (), "and"), "at least one input"),
        (lambda: Layer(np.eye(3), inputs=Bernoulli(4)), "one column per input"),
        (lambda: Layer(np.eye(3), inputs=None), "inputs must be Bernoulli"),
        (lambda: Layer(np.eye(3), [1.0, 2.0], inputs=Bernoulli(3)), "bias must be a finite number"),
        (lambda: Layer(np.eye(3), activation="gelu", inputs=Bernoulli(3)), "activation must be one of"),
        (lambda: Layer(np.eye(3), inputs=Bernoulli(3)).truth.partial_r2((0,)), "at least two inputs"),
        (lambda: Layer(np.ones((1, 17)), inputs=Bernoulli(17)).truth.partial_r2((0, 1)), "at most 16 inputs"),
        (lambda: Layer(np.eye(3), inputs=Bernoulli(3)).sample(9, stream(0, "x"), noise=-1.0), "noise must be"),
    ],
)
def test_bad_arguments_are_one_sentence(build, words):
    with pytest.raises(InputError, match=words):
        build()
