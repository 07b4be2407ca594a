"""What calibrate() plants: labels about nothing that keep their structure, and signals of a known size."""

import itertools
from collections import Counter

import numpy as np
import pytest
from scipy.stats import chisquare, norm
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import roc_auc_score

import controls as ct
from controls.core.rng import stream
from controls.ground_truth import NullDocuments
from controls.testing.own_pipeline.null_labels import SerialLabels, gaussian_series, not_kept, null_labels
from controls.testing.own_pipeline.signal import Signal, ideal_auc


def problem_of(labels, groups=None, unit=None, seed=0):
    return ct.Problem(stream(seed, "X").normal(size=(len(labels), 3)), labels, groups=groups or {}, unit=unit)


def serial(kind, rho=0.8, n_documents=30, size=30, seed=0):
    """Labels of one kind with known latent series, in documents."""
    sizes = np.full(n_documents, size)
    latent = [gaussian_series(sizes, rho, stream(seed, kind, k)) for k in range(3)]
    labels = {
        "binary": (latent[0] > 0.3).astype(int),
        "classes": np.array(list("abcde"))[(latent[0] > 0) * 1 + (latent[1] > 0) * 2 + (latent[2] > 1.5)],
        "numbers": np.exp(latent[0]),
        "sets": np.stack([(series > 0).astype(int) for series in latent], axis=1),
        "columns": np.stack(latent, axis=1),
    }[kind]
    return problem_of(labels, {"document": np.repeat(np.arange(n_documents), size)}, "document")


# -- labels ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rho", [-0.7, 0.0, 0.6, 0.99])
def test_series_are_those_of_the_recursion(rho):
    sizes = np.array([4, 1, 7])
    noise, expected = stream(1, "noise").standard_normal(12), []
    for size, start in zip(sizes, (0, 4, 5), strict=True):
        value = noise[start]
        expected.append(value)
        for step in range(1, size):
            value = rho * value + np.sqrt(1 - rho**2) * noise[start + step]
            expected.append(value)
    np.testing.assert_allclose(gaussian_series(sizes, rho, stream(1, "noise")), expected, atol=1e-12)


@pytest.mark.parametrize("labels", [["a", "b", "b", "a", "a", "c"], [0.5, 1.5, 2.5, 1.0, 1.0, 9.0]])
def test_independent_labels_are_uniform_over_shuffles_within_units_and_exchanges_of_units(labels):
    problem = problem_of(labels, {"unit": [0, 0, 0, 1, 1, 1]}, "unit")
    found = SerialLabels(problem, 0.0)
    halves = labels[:3], labels[3:]
    expected = Counter(
        one + other
        for first, second in (halves, halves[::-1])
        for one, other in itertools.product(itertools.permutations(first), itertools.permutations(second))
    )
    rng, drawn = stream(0, "uniform"), Counter()
    for _ in range(4000):
        drawn[tuple(found.draw(rng).tolist())] += 1
    assert set(drawn) <= set(expected)
    share = 4000 / sum(expected.values())
    assert chisquare([drawn[key] for key in expected], [share * count for count in expected.values()]).pvalue > 1e-3


@pytest.mark.parametrize("kind", ["binary", "classes", "numbers", "sets"])
def test_redrawn_labels_keep_the_sets_of_units_and_how_much_neighbours_are_alike(kind):
    problem = serial(kind)
    labels = null_labels(problem, None, stream(0, "fit"))
    assert isinstance(labels, SerialLabels)
    rng = stream(0, "draws")
    sets = Counter(tuple(sorted(map(str, part.tolist()))) for part in problem.labels.reshape(30, 30, -1))
    observed, alike = labels.persistence(np.arange(problem.n)), []
    for _ in range(40):
        rows = labels.rows(rng)
        drawn = np.asarray(problem.labels)[rows]
        assert Counter(tuple(sorted(map(str, part.tolist()))) for part in drawn.reshape(30, 30, -1)) == sets
        alike.append(labels.persistence(rows))
    shuffled = SerialLabels(problem, 0.0)
    chance = np.mean([shuffled.persistence(shuffled.rows(rng)) for _ in range(40)])
    if kind != "sets":
        assert abs(np.mean(alike) - observed) < 4 * np.std(alike) / np.sqrt(40) + 0.02 * (observed - chance)
    assert np.mean(alike) - chance > 0.75 * (observed - chance)  # sets of units bound what neighbours can be


def test_of_several_columns_of_numbers_neighbours_are_less_alike_and_that_is_said():
    problem = serial("columns")
    labels = null_labels(problem, None, stream(0, "fit"))
    assert labels.draw(stream(0, "draws")).shape == problem.labels.shape
    (note,) = not_kept(problem, labels, stream(0, "notes"))
    assert "labels follow one another within document" in note
    assert 'null=ct.ShuffleLabels(whole="document", blocks=True)' in note


def test_units_of_other_sizes_get_the_rates_of_another_unit():
    sizes = np.array([3, 10, 40])
    document = np.repeat(np.arange(3), sizes)
    labels = np.concatenate([[1, 1, 0], [0] * 10, [1] * 10 + [0] * 30])
    found = SerialLabels(problem_of(labels, {"d": document}, "d"), 0.5)
    rng = stream(0, "rates")
    drawn = np.array([np.bincount(document, found.draw(rng)) for _ in range(3000)]) / sizes
    expected = (2 / 3 + 0 + 1 / 4) / 3  # of every unit, whatever its size
    error = drawn.std(axis=0) / np.sqrt(3000)
    assert (np.abs(drawn.mean(axis=0) - expected) < 4 * error).all()


@pytest.mark.parametrize("kind", ["document", "type"])
def test_labels_constant_in_a_group_stay_so_and_are_redrawn_for_whole_members(kind):
    problem = NullDocuments(kind, n_documents=12, size=9, spread=0.5).sample(stream(0, kind))
    group = "document" if kind == "document" else "word"
    labels = null_labels(problem, None, stream(0, "fit"))
    rng, first = stream(0, "draws"), np.unique(problem.codes(group), return_index=True)[1]
    drawn = [problem.with_labels(labels.draw(rng)) for _ in range(200)]
    assert all(other.constant_within(group) for other in drawn)
    assert all(other.labels[first].sum() == problem.labels[first].sum() for other in drawn)
    agreement = np.mean([(other.labels == problem.labels)[first].mean() for other in drawn])
    p = problem.labels[first].mean()
    assert agreement == pytest.approx(p**2 + (1 - p) ** 2, abs=0.04)


def test_a_group_that_only_names_the_classes_is_not_what_is_redrawn():
    labels = stream(0, "y").integers(2, size=60)
    found = null_labels(
        problem_of(labels, {"label": labels, "document": np.arange(60) // 6}, "document"), None, stream(0)
    )
    assert isinstance(found, SerialLabels)


def test_labels_that_follow_one_another_by_chance_only_are_drawn_in_any_order():
    rhos = []
    for seed in range(40):
        labels = stream(seed, "y").integers(2, size=120)
        rhos.append(null_labels(problem_of(labels), None, stream(seed, "fit")).rho)
    assert sum(rho != 0 for rho in rhos) <= 4  # one in a hundred each


def test_what_redrawn_labels_do_not_keep_is_said():
    problem = NullDocuments("type", n_documents=20, size=20).sample(stream(0, "types"))
    noisy = np.where(stream(0, "noise").random(problem.n) < 0.1, 1 - problem.labels, problem.labels)
    problem = problem.with_labels(noisy)
    notes = not_kept(problem, null_labels(problem, None, stream(0, "fit")), stream(0, "notes"))
    assert len(notes) == 1
    assert "labels cluster by word" in notes[0]
    assert 'null=ct.ControlTask(per="word")' in notes[0]
    tied = null_labels(problem, ct.ControlTask(per="word", corrupted=0.2), stream(0, "fit"))
    assert not_kept(problem, tied, stream(0, "notes")) == ()
    kept = serial("binary")
    assert not_kept(kept, null_labels(kept, None, stream(0, "fit")), stream(0, "notes")) == ()


# -- signal ----------------------------------------------------------------------------------------------


def mixed(n, d, seed=0):
    rng = stream(seed, "mixed", n, d)
    return rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + 5.0


@pytest.mark.parametrize(("n", "d"), [(300, 8), (20, 50)])
@pytest.mark.parametrize("effect", [0.25, 2.0])
def test_two_classes_are_so_many_standard_deviations_apart(n, d, effect):
    X, y = mixed(n, d), np.array(list("abc"))[np.arange(n) % 3]
    inverse = np.linalg.pinv(np.cov(X.T, ddof=0), rcond=1e-10)
    for labels, pairs in ((y == "a", [(True, False)]), (y, itertools.combinations("abc", 2))):
        moved = Signal(ct.Problem(X, labels)).planted(labels, effect, stream(0, "signal")).X - X
        for one, other in pairs:
            shift = moved[labels == one].mean(axis=0) - moved[labels == other].mean(axis=0)
            assert np.sqrt(shift @ inverse @ shift) == pytest.approx(effect, rel=1e-6)


def test_numbers_move_activations_by_the_effect_per_standard_deviation():
    X, y = mixed(200, 6), stream(0, "y").exponential(7.0, size=200)
    moved = Signal(ct.Problem(X, y)).planted(y, 0.5, stream(0, "signal")).X - X
    slope = moved.T @ (y - y.mean()) / (y - y.mean()).dot(y - y.mean()) * y.std()
    assert np.sqrt(slope @ np.linalg.pinv(np.cov(X.T, ddof=0)) @ slope) == pytest.approx(0.5, rel=1e-6)
    np.testing.assert_allclose(moved, np.outer(y - y.mean(), slope) / y.std(), atol=1e-9)


@pytest.mark.parametrize("effect", [0.5, 1.5])
def test_the_best_linear_readout_of_normal_activations_has_the_auc_that_is_said(effect):
    X, y = mixed(20_000, 5), stream(0, "y").integers(2, size=20_000)
    planted = Signal(ct.Problem(X, y)).planted(y, effect, stream(1, "signal"))
    found = roc_auc_score(y, LinearDiscriminantAnalysis().fit(planted.X, y).decision_function(planted.X))
    assert ideal_auc(effect) == pytest.approx(norm.cdf(effect / np.sqrt(2)))
    assert found == pytest.approx(ideal_auc(effect), abs=0.012)


def test_every_site_gets_the_signal_and_the_callers_arrays_stay():
    X = mixed(100, 4).astype(np.float32)
    sites, y = {"a": X, "b": mixed(100, 3)}, np.arange(100) % 2
    before = X.copy()
    planted = Signal(ct.Problem(sites, y)).planted(y, 1.0, stream(0, "signal"))
    assert planted.activations["a"].dtype == np.float32
    assert all(np.abs(planted.activations[name] - sites[name]).max() > 0.1 for name in sites)
    assert (before == X).all()
