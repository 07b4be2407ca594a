"""Saturation: r/(N - 1) against the exact world, and where the caveat is (and is not) given."""

from __future__ import annotations

import numpy as np
import pytest

import controls as ct
from controls.core.rng import stream
from controls.ground_truth import RandomTypes
from controls.runner.saturation import saturation


def rows_of_types(d, *, copies=8, noise=0.0, m=6):
    """Rows of a random layer in which each input is a type; labels are the AND of two inputs."""
    world = RandomTypes(m=m, d=d)
    X = world.layer.inputs.enumerate()[0]
    H = np.repeat(world.layer.hidden(X), copies, axis=0)
    H = H + noise * stream(0, "noise", d).standard_normal(H.shape)
    types = np.repeat(np.arange(len(X)), copies)
    y = np.repeat(X[:, 0] * X[:, 1], copies)
    return world, ct.Problem(H, y, groups={"word": types, "block": types % 4})


@pytest.mark.parametrize("d", [8, 32, 100])
def test_rank_and_r2_are_those_of_the_exact_world(d):
    world, problem = rows_of_types(d, copies=60)
    found = saturation(problem.X, problem.codes("word"))
    assert found.rank == world.rank
    assert found.r2 == pytest.approx(world.control_r2, abs=0.02)


def test_r2_is_the_mean_over_random_labels_of_types_of_unequal_size():
    rng = stream(0, "unequal")
    types = np.repeat(np.arange(20), rng.integers(5, 60, size=20))
    H = rng.normal(size=(20, 12))[types] + 0.5 * rng.normal(size=(len(types), 12))
    H -= H.mean(axis=0)
    labels = rng.normal(size=(20, 4000))[types]
    labels -= labels.mean(axis=0)
    n = len(types)
    Q = np.linalg.qr(H)[0]
    explained, total = np.square(Q.T @ labels).sum(axis=0), np.square(labels).sum(axis=0)
    r2 = explained.mean() / total.mean()
    error = np.std(explained - r2 * total) / total.mean() / np.sqrt(4000)
    adjusted = 1 - (1 - r2) * (n - 1) / (n - 13)
    assert abs(saturation(H, types).r2 - adjusted) < 4 * error


def test_dead_and_repeated_neurons_are_no_rank():
    _, problem = rows_of_types(8)
    H = problem.X
    wide = np.hstack([H, 2 * H, np.ones((len(H), 90))])
    slim, fat = saturation(H, problem.codes("word")), saturation(wide, problem.codes("word"))
    assert (slim.rank, round(slim.r2, 9)) == (fat.rank, round(fat.r2, 9))


def measured(problem, control, **settings):
    probe = ct.probes.RidgeProbe(alpha=1e-6)
    result = ct.measure(probe, problem, controls=[control], scoring="r2", draws=19, **settings)
    comparison = result.comparisons[0]
    return comparison, [caveat for caveat in comparison.caveats if caveat.startswith("saturated")]


def test_a_saturated_control_task_says_so_and_has_no_selectivity():
    comparison, said = measured(rows_of_types(100)[1], ct.ControlTask(per="word"))
    assert len(said) == 1
    assert "r/(N − 1) = 1.00" in said[0]
    assert abs(comparison.selectivity.value) < 0.01


def test_whole_groups_are_types_too_where_they_recur():
    _, problem = rows_of_types(100)
    comparison, said = measured(problem, ct.ShuffleLabels(whole="word"))
    assert said
    assert comparison.inference == "exact"  # p means what it says; it is the effect that is limited
    held_out = ct.Problem(problem.X, problem.labels, groups=problem.groups, unit="word")
    assert not measured(held_out, ct.ShuffleLabels(whole="word"))[1]


@pytest.mark.parametrize(
    ("settings", "control"),
    [
        ({"d": 16}, ct.ControlTask(per="word")),  # rank well below N - 1
        ({"d": 100, "noise": 1.0, "copies": 12}, ct.ControlTask(per="word")),  # types blur: selectivity is left
        ({"d": 100}, ct.ShuffleLabels(within="word")),  # no label per type
        ({"d": 100}, ct.ShuffleLabels()),
    ],
)
def test_nothing_is_said_where_the_control_can_speak(settings, control):
    _, problem = rows_of_types(**settings)
    if control == ct.ShuffleLabels(within="word"):
        problem = problem.with_labels(stream(0, "labels").integers(2, size=problem.n))
    assert not measured(problem, control)[1]


def test_full_rank_of_blurred_types_leaves_selectivity():
    """Why r/(N - 1) alone does not decide: the means have full rank, and the control task is hardly learned."""
    _, problem = rows_of_types(100, noise=1.0, copies=12)
    assert saturation(problem.X, problem.codes("word")).rank == 63
    assert measured(problem, ct.ControlTask(per="word"))[0].selectivity.value > 0.3
