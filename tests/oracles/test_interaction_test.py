"""The interaction test against ordinary least squares, exact permutation theory and counted false alarms."""

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.linear_model import LinearRegression

from controls.core.errors import InputError, InputTypeError
from controls.core.rng import stream
from controls.stats.interaction import adjusted_r2, interaction_test, numerical_rank


def problem(rng, n=120, d=7, k=2, m=3):
    concepts = rng.integers(2, size=(n, k)).astype(float)
    nuisance = np.hstack([concepts, rng.normal(size=(n, m))])
    H = np.maximum(np.hstack([concepts, nuisance]) @ rng.normal(size=(k + k + m, d)), 0)
    return H, concepts, nuisance


def r2_of_regressions(H, t, nuisance):
    """Share of what the nuisance leaves of t that H takes further: two nested regressions."""
    alone = t - LinearRegression().fit(nuisance, t).predict(nuisance)
    both = np.hstack([nuisance, H])
    together = t - LinearRegression().fit(both, t).predict(both)
    return 1 - np.square(together).sum() / np.square(alone).sum()


def test_r2_is_that_of_nested_regressions():
    H, concepts, nuisance = problem(stream(0, "nested"))
    found = interaction_test(H, concepts, nuisance=nuisance, draws=9, rng=stream(0))
    assert found.r2 == pytest.approx(r2_of_regressions(H, concepts.prod(axis=1), nuisance), abs=1e-10)
    assert found.k == np.linalg.matrix_rank(nuisance)


def test_three_concepts_leave_main_effects_and_products_of_two():
    H, concepts, _ = problem(stream(0, "three"), n=300, k=3)
    a, b, c = concepts.T
    lower = np.stack([a, b, c, a * b, a * c, b * c], axis=1)
    found = interaction_test(H, concepts, draws=9, rng=stream(0))
    assert found.r2 == pytest.approx(r2_of_regressions(H, a * b * c, lower), abs=1e-10)
    assert found.k == 6
    assert interaction_test(lower @ np.arange(24).reshape(6, 4), concepts, draws=9, rng=stream(0)).rank == 0


def test_numeric_concepts_and_scale_of_columns():
    rng = stream(0, "numeric")
    concepts = rng.normal(size=(200, 2)) * [1e-6, 1e6] + [3e-6, 5e6]
    H = rng.normal(size=(200, 4)) + 0.5 * (concepts[:, :1] * concepts[:, 1:])
    found = interaction_test(H, concepts, draws=99, rng=rng)
    standard = (concepts - concepts.mean(axis=0)) / concepts.std(axis=0)
    assert found.r2 == pytest.approx(r2_of_regressions(H, standard.prod(axis=1), standard), abs=1e-9)
    assert found.p_value == 0.01


def test_null_distribution_is_that_of_permuted_products_regressed_one_by_one():
    H, concepts, nuisance = problem(stream(0, "permuted"), n=60)
    found = interaction_test(H, concepts, nuisance=nuisance, draws=99, rng=stream(1))
    centred = (concepts - concepts.mean(axis=0)).prod(axis=1)
    rows = stream(1).permuted(np.repeat(centred[None], 99, axis=0), axis=1)
    drawn = np.array([r2_of_regressions(H, t, nuisance) for t in rows])
    assert found.p_value == (1 + (drawn >= found.r2 - 1e-9).sum()) / 100


@pytest.mark.parametrize("draws", [1, 19])
def test_p_is_one_where_nothing_is_left_and_never_zero(draws):
    _, concepts, _ = problem(stream(0, "floor"))
    dead = interaction_test(np.ones((120, 2)), concepts, draws=draws, rng=stream(0))
    assert (dead.r2, dead.rank, dead.p_value) == (0.0, 0, 1.0)
    computed = interaction_test(concepts.prod(axis=1, keepdims=True), concepts, draws=draws, rng=stream(0))
    assert computed.p_value == 1 / (draws + 1)
    empty = interaction_test(np.eye(4), [[0, 0], [0, 1], [1, 0], [1, 0]], draws=draws, rng=stream(0))
    constant = interaction_test(np.eye(4, 9), [[0, 2], [0, 2], [1, 2], [1, 2]], draws=draws, rng=stream(0))
    assert np.isnan([empty.r2, empty.adjusted, constant.r2, constant.adjusted]).all()
    assert (empty.p_value, constant.p_value) == (1.0, 1.0)


def test_all_relabelings_of_few_values_tie_as_they_should():
    """Two rows a cell: t takes two values, so that permuted products repeat; each repeat of the observed one counts."""
    concepts = np.array([[0, 0], [0, 1], [1, 0], [1, 1]] * 2, dtype=float)
    t = np.array([1, -1, -1, 1] * 2, dtype=float)
    found = interaction_test(t[:, None], concepts, draws=6999, rng=stream(0))
    # R² is 1 for t and -t only: 2 of 70 arrangements
    assert binomtest(round(found.p_value * 7000) - 1, 6999, 2 / 70).pvalue > 0.001


def test_dead_and_repeated_neurons_change_nothing():
    rng = stream(0, "ranks")
    H, concepts, nuisance = problem(rng)
    wide = np.hstack([H, H @ rng.normal(size=(7, 30)), np.zeros((120, 5)), np.full((120, 2), 3.0), nuisance])
    slim = interaction_test(H, concepts, nuisance=nuisance, draws=99, rng=stream(3))
    fat = interaction_test(wide, concepts, nuisance=nuisance, draws=99, rng=stream(3))
    assert fat.rank == slim.rank == 7
    assert fat.adjusted == pytest.approx(slim.adjusted, abs=1e-10)
    assert fat.p_value == slim.p_value


def test_adjusted_r2_is_unbiased_where_nothing_is_there():
    rng = stream(0, "unbiased")
    concepts = rng.integers(2, size=(400, 80, 2)).astype(float)
    H = rng.normal(size=(400, 80, 25))
    found = interaction_test(H, concepts, draws=1, rng=rng)
    error = found.adjusted.std() / np.sqrt(400)
    assert abs(found.adjusted.mean()) < 4 * error
    assert found.r2.mean() == pytest.approx(25 / 77, abs=0.02)
    assert np.allclose(found.saturation, 25 / 77)


def test_adjusted_r2_is_that_of_statsmodels():
    import statsmodels.api as sm

    H, concepts, _ = problem(stream(0, "statsmodels"))
    y = concepts.prod(axis=1)
    fit = sm.OLS(y, sm.add_constant(H)).fit()
    adjusted = adjusted_r2(np.array([fit.rsquared]), 120, np.array([7]))
    assert adjusted[0] == pytest.approx(fit.rsquared_adj, abs=1e-12)


def test_saturated_layers_have_no_adjusted_effect():
    _, concepts, _ = problem(stream(0, "saturated"))
    found = interaction_test(np.eye(120), concepts, draws=19, rng=stream(0))
    assert found.r2 == pytest.approx(1.0)
    assert np.isnan(found.adjusted)
    assert found.p_value == 1.0
    assert found.saturation == 1.0


def test_numerical_rank_is_that_of_centred_columns():
    rng = stream(0, "rank")
    A = rng.normal(size=(50, 4)) @ rng.normal(size=(4, 9))
    assert numerical_rank(A) == 4
    assert numerical_rank(np.hstack([A, np.ones((50, 1))])) == 4
    assert numerical_rank(np.hstack([A, np.ones((50, 1))]), centred=False) == 5
    assert numerical_rank(np.ones((3, 2))) == 0


def test_a_batch_is_its_tests_one_by_one():
    rng = stream(0, "batch")
    H, concepts, nuisance = map(np.stack, zip(*[problem(rng) for _ in range(5)], strict=True))
    whole = interaction_test(H, concepts, nuisance=nuisance, draws=49, rng=stream(2))
    one_by_one = stream(2)
    for p in range(5):
        alone = interaction_test(H[p], concepts[p], nuisance=nuisance[p], draws=49, rng=one_by_one)
        assert isinstance(alone.p_value, float)
        assert whole.p_value[p] == alone.p_value
        assert whole.adjusted[p] == pytest.approx(alone.adjusted, abs=1e-12)


def test_chunks_change_nothing(monkeypatch):
    rng = stream(0, "chunks")
    H, concepts, _ = map(np.stack, zip(*[problem(rng) for _ in range(5)], strict=True))
    whole = interaction_test(H, concepts, draws=49, rng=stream(2))
    monkeypatch.setattr("controls.stats.interaction._BUDGET", 1)
    assert np.array_equal(interaction_test(H, concepts, draws=49, rng=stream(2)).p_value, whole.p_value)


def null_layer(X):
    """A sparse layer in which no neuron sees both of the first two inputs."""
    W = (stream(0, "layer").random((16, X.shape[-1])) < 0.4).astype(float)
    W[:8, 0], W[8:, 1] = 0, 0
    return np.maximum(X @ W.T - 1, 0)


def rejections(q, *, balanced, repetitions, n=600):
    rng = stream(0, "level", str(q), int(balanced))
    X = (rng.random((repetitions, n, 8)) < q).astype(float)
    if balanced:
        X[..., :2] = rng.integers(2, size=(repetitions, n, 2))
    found = interaction_test(null_layer(X), X[..., :2], draws=39, rng=rng)
    return int((found.p_value <= 0.05).sum()), found


def test_a_true_null_is_kept_at_its_level_in_balanced_cells():
    count, found = rejections(0.1, balanced=True, repetitions=400)
    assert binomtest(count, 400, 0.05, "greater").pvalue > 0.005
    assert binomtest(count, 400, 0.05, "less").pvalue > 0.005
    assert found.imbalance.max() < 0.5


def test_a_true_null_is_rejected_far_too_often_in_rare_cells():
    count, found = rejections(0.1, balanced=False, repetitions=100)
    assert binomtest(count, 100, 0.25, "greater").pvalue < 0.01
    assert found.imbalance.min() > 2


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        ({"concepts": np.ones((8, 1))}, InputError, "two or more columns, got 1"),
        ({"concepts": np.ones((7, 2))}, InputError, r"rows of H \(1, 8\), got \(1, 7\)"),
        ({"nuisance": np.ones((2, 8, 2))}, InputError, r"got \(2, 8\)"),
        ({"H": np.full((8, 2), np.nan)}, InputError, "H must be finite"),
        ({"H": np.ones(8)}, InputError, r"got \(8,\)"),
        ({"concepts": np.full((8, 2), "a")}, InputTypeError, "must hold numbers"),
        ({"draws": 0}, InputError, "draws must be at least 1"),
    ],
)
def test_wrong_input_is_refused_in_a_sentence(wrong, error, words):
    given = {"H": np.eye(8), "concepts": np.arange(16).reshape(8, 2) % 3, "rng": stream(0), **wrong}
    with pytest.raises(error, match=words):
        interaction_test(given.pop("H"), given.pop("concepts"), **given)
