"""Controls on activations against closed forms, enumeration and laws that are known."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import sparse, stats
from sklearn.linear_model import Ridge, RidgeClassifier

import controls as ct
from controls.core.arrays import is_mapped
from controls.core.rng import stream
from controls.generators.tensor_entropy import additive_mean, fit_tensor_law

SEEDS = range(3)
EVERY = [
    ct.ShuffleCoordinates(),
    ct.RotateActivations(),
    ct.GaussianActivations(),
    ct.GaussianActivations("empirical"),
    ct.MatchNorms(),
    ct.MatchNorms("sphere"),
    ct.RandomizePhases("sequence"),
    ct.MatchCovariances(),
]


def table(P=6, T=5, d=3, seed=0, dtype=np.float64):
    rng = stream(seed, "table")
    groups = {"sequence": np.repeat(np.arange(P), T), "position": np.tile(np.arange(T), P)}
    X = (rng.standard_normal((P * T, d)) @ rng.standard_normal((d, d))).astype(dtype)
    return ct.Problem(X, np.arange(P * T) % 2, groups=groups, unit="sequence")


def test_shuffled_coordinates_reach_every_arrangement_equally_often():
    problem = ct.Problem(np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]))
    seen = {}
    for i in range(36 * 60):
        drawn = ct.ShuffleCoordinates().draw(problem, stream(0, i)).X
        seen[drawn.tobytes()] = seen.get(drawn.tobytes(), 0) + 1
    assert len(seen) == math.factorial(3) ** 2
    assert stats.chisquare(list(seen.values())).pvalue > 1e-4


def test_ojala_and_garriga_keep_each_class_its_values():
    problem = table()
    drawn = ct.ShuffleCoordinates(per_label=True).draw(problem, stream(0))
    for label, j in itertools.product((0, 1), range(3)):
        rows = problem.labels == label
        assert sorted(drawn.X[rows, j]) == sorted(problem.X[rows, j])


def test_rotation_tests_turn_a_sample_of_three_uniformly():
    """Of three numbers with mean 0 and given variance, what is left is an angle."""
    problem = ct.Problem(np.array([[1.0], [4.0], [-2.0]]))
    basis = np.array([[1, -1, 0], [1, 1, -2]]) / np.sqrt([[2], [6]])
    angles = []
    for i in range(2000):
        x, y = basis @ ct.GaussianActivations().draw(problem, stream(1, i)).X[:, 0]
        angles.append(math.atan2(y, x))
    assert stats.kstest(angles, stats.uniform(-math.pi, 2 * math.pi).cdf).pvalue > 1e-4


@pytest.mark.parametrize("shape", [(40, 5), (6, 9), (12, 12)])
def test_gaussian_samples_have_the_moments_to_rounding(shape):
    rng = stream(2, *shape)
    X = rng.exponential(size=shape) * 10.0 ** rng.integers(-3, 3, shape[1])
    drawn = ct.GaussianActivations().draw(ct.Problem(X), rng).X
    np.testing.assert_allclose(drawn.mean(axis=0), X.mean(axis=0), rtol=1e-7)
    size = X.std(axis=0)
    np.testing.assert_allclose(np.cov((drawn / size).T), np.cov((X / size).T), atol=1e-6)


def test_shrunk_draws_have_width_in_every_direction():
    X = stream(3).standard_normal((8, 20))
    plain, shrunk = (
        ct.GaussianActivations(kind).draw(ct.Problem(X), stream(4)).X for kind in ("empirical", "ledoit_wolf")
    )
    outside = np.eye(20) - np.linalg.pinv(X - X.mean(axis=0)) @ (X - X.mean(axis=0))
    assert np.abs((plain - X.mean(axis=0)) @ outside).max() < 1e-9
    assert np.abs((shrunk - X.mean(axis=0)) @ outside).max() > 0.1


@pytest.mark.parametrize("control", [ct.GaussianActivations("empirical"), ct.MatchNorms()], ids=str)
def test_laws_have_the_covariance_observed(control):
    problem = table(40, 10, 3)
    draws = [np.cov(control.draw(problem, stream(5, i)).X.T) for i in range(200)]
    mean, error = np.mean(draws, axis=0), np.std(draws, axis=0) / np.sqrt(200)
    assert (np.abs(mean - np.cov(problem.X.T)) < 5 * error + 5e-3 * np.abs(mean).max()).all()


@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_exact_controls_keep_their_level_where_rows_are_gaussian(alpha):
    """Kurtosis, the norms' spread, the largest entry: of Gaussian rows they are exchangeable with drawn ones."""
    controls = (ct.ShuffleCoordinates(), ct.GaussianActivations(), ct.MatchNorms("sphere"), ct.RotateActivations())
    for control in controls:
        false = 0
        for i in range(400):
            problem = ct.Problem(stream(6, i).standard_normal((20, 3)))
            drawn = [unlike(control.draw(problem, stream(7, i, j)).X) for j in range(19)]
            false += (1 + sum(each >= unlike(problem.X) - 1e-9 for each in drawn)) / 20 <= alpha + 1e-9
        assert stats.binomtest(false, 400, alpha).pvalue > 1e-3


def unlike(X):
    return float((X[:, 0] ** 2 * X[:, 1] ** 2).sum() + (X[:, 2] ** 4).sum())


def test_clusters_are_more_than_gaussian():
    """Power: two clusters have a fourth moment that no Gaussian sample of their covariance has."""
    rng = stream(8)
    X = rng.standard_normal((200, 3)) + 4 * rng.integers(2, size=(200, 1))
    problem = ct.Problem(X)
    flat = lambda rows: -float(stats.kurtosis(rows.sum(axis=1)))  # noqa: E731
    drawn = [flat(ct.GaussianActivations().draw(problem, stream(9, i)).X) for i in range(99)]
    assert flat(X) > max(drawn)


@pytest.mark.parametrize("n", [8, 9])
def test_phases_keep_circular_correlations_at_every_lag(n):
    X = stream(10, n).standard_normal((n, 2)).cumsum(axis=0)
    problem = ct.Problem(X, groups={"sequence": np.zeros(n, dtype=int)})
    drawn = ct.RandomizePhases().draw(problem, stream(11)).X
    for lag in range(n):
        np.testing.assert_allclose(np.roll(drawn, lag, axis=0).T @ drawn, np.roll(X, lag, axis=0).T @ X, atol=1e-9)


def test_phases_warn_of_activations_that_drift():
    rng, groups = stream(12), {"sequence": np.repeat(np.arange(20), 12)}
    still = ct.Problem(rng.standard_normal((240, 4)), groups=groups)
    drifting = ct.Problem(still.X + np.tile(np.linspace(0, 3, 12), 20)[:, None], groups=groups)
    assert ct.RandomizePhases().caveats(still, rng) == ()
    (words,) = ct.RandomizePhases().caveats(drifting, rng)
    assert "not stationary" in words


@pytest.mark.parametrize("seed", SEEDS)
def test_tensor_laws_have_the_covariances_along_every_side(seed):
    rng = stream(13, seed)
    tensor = rng.standard_normal((7, 6, 4)).cumsum(axis=1) + rng.standard_normal((7, 1, 1))
    law = fit_tensor_law(tensor)
    assert law.error < 1e-6
    means = [law.mean.mean(axis=tuple(o for o in range(3) if o != side)) for side in range(3)]
    assert all(np.allclose(m, tensor.mean(axis=tuple(o for o in range(3) if o != s))) for s, m in enumerate(means))
    centred = tensor - additive_mean(tensor)
    for side, axes in enumerate(law.axes):  # the population's covariance along the side, without sampling
        sums = law.variances.sum(axis=tuple(o for o in range(3) if o != side))
        unfolded = np.moveaxis(centred, side, 0).reshape(tensor.shape[side], -1)
        np.testing.assert_allclose((axes * sums) @ axes.T, unfolded @ unfolded.T, atol=1e-5 * sums.max())


def test_no_gaussian_of_these_covariances_has_more_entropy():
    """Along any change that keeps the three spectra, the sum of log variances falls."""
    rng = stream(14)
    variances = fit_tensor_law(rng.standard_normal((5, 4, 3)).cumsum(axis=0)).variances
    change = rng.standard_normal(variances.shape)
    for side in range(3):  # interactions of all three sides alone leave every marginal sum
        change -= change.mean(axis=side, keepdims=True)
    for step in (0.2, -0.2):
        other = variances + step * variances.min() * change / np.abs(change).max()
        assert np.log(other).sum() < np.log(variances).sum()


@pytest.mark.parametrize("control", EVERY, ids=str)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int64])
def test_types_and_mapped_files(control, dtype, tmp_path):
    plain = table(8, 6, 3)
    X = (10 * plain.X).astype(dtype)
    np.save(tmp_path / "X.npy", X)
    mapped = ct.Problem(np.load(tmp_path / "X.npy", mmap_mode="r"), plain.labels, groups=plain.groups, unit="sequence")
    held = ct.Problem(
        X.astype(np.float32 if dtype == np.float16 else mapped.X.dtype), plain.labels, groups=plain.groups
    )
    drawn, same = (control.draw(problem, stream(15)).X for problem in (mapped, held))
    assert is_mapped(drawn)
    assert drawn.dtype.kind == "f"
    np.testing.assert_allclose(drawn, same, rtol=2e-3, atol=1e-2)


@pytest.mark.parametrize("control", EVERY, ids=str)
def test_sites_sparse_matrices_and_constant_rows(control):
    problem = table()
    site = ct.Problem({"layer": problem.X}, problem.labels, groups=problem.groups)
    assert np.array_equal(control.draw(site, stream(16)).X, control.draw(problem, stream(16)).X)
    assert control.draw(site, stream(16)).sites == ("layer",)
    with pytest.raises(ct.InputError, match="MatchSparsity"):
        control.check(problem.with_activations(sparse.csr_array(problem.X)))
    with pytest.raises(ct.CannotControl, match="that vary, got the same row"):
        control.check(problem.with_activations(np.ones((problem.n, 3))))


def test_bad_input_is_one_sentence():
    problem = table()
    with pytest.raises(ct.InputError, match=r"per_label needs labels that are classes, got continuous"):
        ct.GaussianActivations(per_label=True).check(problem.with_labels(np.linspace(0, 1, problem.n)))
    with pytest.raises(ct.CannotControl, match="no row has two rows"):
        ct.ShuffleCoordinates(within="row").check(ct.Problem(problem.X, groups={"row": np.arange(problem.n)}))
    with pytest.raises(ct.InputError, match="whole table: one row for each of 6 sequences"):
        ct.MatchCovariances().check(problem.take(np.arange(problem.n - 1)))
    with pytest.raises(ct.CannotControl, match="at least 4 rows, got at most 3"):
        ct.RandomizePhases().check(table(10, 3))
    with pytest.raises(ct.InputError, match="over must name two groups"):
        ct.MatchCovariances(("sequence", "sequence"))
    with pytest.raises(ct.InputError, match="leave them out"):
        ct.MatchNorms("sphere", within="sequence")
    with pytest.raises(ct.CannotControl, match="at least two features"):
        ct.RotateActivations().check(ct.Problem(problem.X[:, :1]))


def test_a_trainer_that_does_not_see_the_basis_is_told_so():
    result = ct.measure(RidgeClassifier(), table(30, 4), controls=[ct.RotateActivations()], draws=5, seed=0)
    assert any("does not see what the control destroys" in words for words in result["RotateActivations"].caveats)


def test_rows_of_units_are_not_taken_for_exchangeable():
    result = ct.measure(ct.probes.RidgeProbe(), table(30, 4), controls=[ct.ShuffleCoordinates()], draws=19, seed=0)
    assert result["ShuffleCoordinates"].inference == "ensemble"
    free = ct.Problem(table(30, 4).X, table(30, 4).labels)
    result = ct.measure(ct.probes.RidgeProbe(), free, controls=[ct.ShuffleCoordinates()], draws=19, seed=0)
    assert result["ShuffleCoordinates"].inference == "exact"


def planted(noise=0.0, rows=400, m=24, d=6):
    rng = stream(17)
    code = rng.exponential(size=(rows, m)) * (rng.random((rows, m)) < 0.15)
    X = code @ rng.standard_normal((m, d)) + noise * rng.standard_normal((rows, d))
    return ct.Problem({"layer": X, "latents": sparse.csr_array(code)}).at("layer")


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_planted_dictionaries_are_what_the_activations_are_made_of(noise):
    problem = planted()
    drawn = ct.PlantDictionary("latents", noise=noise).draw(problem, stream(18))
    source = drawn.source
    np.testing.assert_allclose(source.extract(source.model, source.inputs), drawn.X, atol=1e-9)
    np.testing.assert_allclose(np.cov(drawn.X.T), np.cov(problem.X.T), atol=1e-9)
    explained = drawn.X - source.model.offset - (0 if source.model.noise is None else source.model.noise)
    share = explained.var(axis=0).sum() / drawn.X.var(axis=0).sum()
    assert share == pytest.approx(1 - noise, abs=1e-9)


def test_codes_read_back_where_there_is_a_dictionary_and_not_where_rows_have_their_own():
    problem, code = planted(rows=3000, m=6), planted(rows=3000, m=6).array_at("latents").toarray()
    scores = []
    for kind in ("once", "per_row"):
        X = ct.PlantDictionary("latents", kind).draw(problem, stream(19)).X
        X = np.column_stack([X, np.ones(len(X))])
        left = code - X @ np.linalg.lstsq(X, code, rcond=None)[0]
        scores.append(1 - left.var() / code.var())
    assert scores[0] > 0.999
    assert abs(scores[1]) < 0.02


def test_codes_that_cannot_be_planted():
    with pytest.raises(ct.CannotControl, match="spans the activations' 6 dimensions, but 'latents' spans 3"):
        ct.PlantDictionary("latents").check(planted(noise=1.0, m=3))
    ct.PlantDictionary("latents", noise=0.5).check(planted(noise=1.0, m=3))
    still = ct.Problem({"layer": planted().X, "latents": np.ones((400, 3))}).at("layer")
    with pytest.raises(ct.CannotControl, match="is constant"):
        ct.PlantDictionary("latents").check(still)
    with pytest.raises(ct.InputError, match="below 1"):
        ct.PlantDictionary("latents", noise=1.0)


def test_cells_are_new_at_every_draw_and_hold_one_label():
    rng = stream(20)
    problem = ct.Problem(rng.standard_normal((200, 2)), rng.integers(5, size=200))
    draws = [ct.ClusterTask(8).draw(problem, stream(21, i)).labels for i in range(20)]
    assert len({labels.tobytes() for labels in draws}) == 20
    nearest = [np.argsort(((problem.X - row) ** 2).sum(axis=1))[1] for row in problem.X]
    agree = np.mean([(labels == labels[nearest]).mean() for labels in draws])
    assert agree > 0.75  # neighbours share a cell, most of them
    clusters = [ct.ClusterTask(8, cells="kmeans").draw(problem, stream(22, i)).labels for i in range(2)]
    both = np.unique(np.stack(clusters), axis=1).shape[1]
    assert both <= 8
    with pytest.raises(ct.InputError, match="at most the number of rows, 200"):
        ct.ClusterTask(201).check(problem)


@pytest.mark.parametrize("scale", [1.0, 1e3, 1e-5])
def test_tensor_laws_do_not_hang_on_the_scale_of_neurons(scale):
    rng = stream(23)
    X = rng.standard_normal((30 * 12, 8))
    X[:, 0] *= scale
    groups = {"sequence": np.repeat(np.arange(30), 12), "position": np.tile(np.arange(12), 30)}
    problem = ct.Problem(X, groups=groups)
    draws = [ct.MatchCovariances().draw(problem, stream(24, i)).X for i in range(20)]
    spread = np.mean([drawn.std(axis=0) / X.std(axis=0) for drawn in draws], axis=0)
    np.testing.assert_allclose(spread, 1.0, atol=0.05)
    among = np.mean([np.abs(np.corrcoef(drawn[:, 1:].T)[np.triu_indices(7, 1)]).mean() for drawn in draws])
    assert among < 0.1


@pytest.mark.parametrize("kind", ["once", "per_row"])
@pytest.mark.parametrize(("n", "d", "m", "rank"), [(60, 100, 300, 100), (300, 8, 7, 4), (50, 50, 200, 50)])
def test_planted_activations_have_the_moments_whatever_the_rank(kind, n, d, m, rank):
    rng = stream(25, n, d)
    code = rng.exponential(size=(n, m)) * (rng.random((n, m)) < 0.3)
    X = code @ rng.standard_normal((m, rank)) @ rng.standard_normal((rank, d))
    problem = ct.Problem({"layer": X, "latents": code}).at("layer")
    drawn = ct.PlantDictionary("latents", kind).draw(problem, stream(26)).X
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(X.T), atol=1e-6 * np.abs(np.cov(X.T)).max())
    np.testing.assert_allclose(drawn.mean(axis=0), X.mean(axis=0), atol=1e-7 * np.abs(X).max())


def test_noise_needs_rows_beside_the_code():
    rng = stream(27)
    code = rng.exponential(size=(40, 90)) * (rng.random((40, 90)) < 0.3)
    problem = ct.Problem({"layer": code @ rng.standard_normal((90, 60)), "latents": code}).at("layer")
    with pytest.raises(ct.CannotControl, match="needs more rows for noise"):
        ct.PlantDictionary("latents", noise=0.3).check(problem)


def test_rows_of_units_are_not_taken_for_independent_without_labels_either():
    (words,) = ct.ShuffleCoordinates().caveats(ct.Problem(table().X, groups=table().groups, unit="sequence"), stream(0))
    assert "as independent of one another" in words


def test_rotations_of_single_precision_tie_with_what_they_turn():
    rng = stream(28)
    X = rng.standard_normal((120, 4)).astype(np.float32)
    problem = ct.Problem(X, X[:, 0] + 0.5 * rng.standard_normal(120))
    for seed in range(10):
        result = ct.measure(Ridge(), problem, controls=[ct.RotateActivations()], scoring="r2", draws=19, seed=seed)
        assert result["RotateActivations"].p_value == 1.0


@pytest.mark.parametrize("steady", [0.0, 1e-9])
def test_drift_that_is_the_same_everywhere_is_seen(steady):
    rng, groups = stream(29), {"sequence": np.repeat(np.arange(20), 8)}
    X = rng.standard_normal((160, 3))
    X[:, 0] = np.tile([50.0, 0, 0, 0, 0, 0, 0, 0], 20) + steady * rng.standard_normal(160)
    assert "not stationary" in ct.RandomizePhases().caveats(ct.Problem(X, groups=groups), rng)[0]
    few = ct.Problem(X[:16], groups={"sequence": groups["sequence"][:16]})
    assert "could not be tested" in ct.RandomizePhases().caveats(few, rng)[0]


def test_cells_never_have_one_label_alone():
    rng = stream(30)
    rare = ct.Problem(rng.standard_normal((400, 3)), np.arange(400) < 4)
    for control in (ct.ClusterTask(2), ct.ClusterTask(50)):
        assert all(len(np.unique(control.draw(rare, stream(31, i)).labels)) == 2 for i in range(50))


def test_strata_and_tables_in_which_nothing_varies_are_refused():
    groups = {"document": np.repeat(np.arange(5), 4)}
    alike = ct.Problem(np.repeat(stream(32).standard_normal((5, 3)), 4, axis=0), groups=groups)
    with pytest.raises(ct.CannotControl, match="the same row within each document"):
        ct.GaussianActivations(within="document").check(alike)
    a, b, c = stream(33).standard_normal((3, 6))
    sums = (a[:, None, None] + b[None, :5, None] + c[None, None, :3]).reshape(30, 3)
    with pytest.raises(ct.CannotControl, match="more than the sum of means"):
        ct.MatchCovariances().check(table().with_activations(sums))
    uneven = ct.Problem(
        alike.X + stream(34).standard_normal((20, 3)), groups={"g": np.r_[0, np.repeat([1, 2], [9, 10])]}
    )
    for control in (ct.MatchNorms(within="g"), ct.GaussianActivations("ledoit_wolf", within="g")):
        np.testing.assert_allclose(control.draw(uneven, stream(35)).X[0], uneven.X[0])
    with pytest.raises(ct.InputError, match="within must be the name of a group"):
        ct.ShuffleCoordinates(within=["g"]).check(uneven)
