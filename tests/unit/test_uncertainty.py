"""Deviations and floors where they are easily wrong: overlapping folds, ties, perfect scores, rare classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import RepeatedKFold, ShuffleSplit

import controls as ct
from controls.core.control import Control
from controls.core.properties import SameGroups
from controls.core.rng import stream
from controls.core.trainer import Split
from controls.runner.evaluation import FoldPart, combine
from controls.runner.folds import SplitterFolds
from controls.testing.suite.coverage import Setting, one

SHUFFLE = ct.ShuffleLabels()


def problem(n=120, d=4, effect=1.0, seed=0):
    rng = stream(seed, "problem", n, d)
    labels = rng.integers(2, size=n)
    return ct.Problem(rng.normal(size=(n, d)) + effect * labels[:, None] * np.eye(d)[0], labels)


def right(finding, given):
    return (finding.predict(given.X) == given.labels).astype(float)


def share_right(finding, given):
    return float(right(finding, given).mean())


@pytest.mark.parametrize(
    "cv", [5, RepeatedKFold(n_splits=5, n_repeats=4, random_state=0), ShuffleSplit(12, random_state=0)]
)
def test_resampled_units_give_the_error_that_leaving_them_out_gives(cv):
    def error(scoring):
        found = ct.measure(ct.probes.RidgeProbe(), problem(), controls=[SHUFFLE], scoring=scoring, cv=cv, draws=10)
        return found.score_estimate.standard_error

    # A hundred resamples leave a relative error of 1 / sqrt(200) = .07; twice the folds would give half the error.
    assert error(share_right) == pytest.approx(error(right), rel=0.25)


@dataclass(frozen=True)
class TrainOnAsManyOfEach:
    """A hold-out whose training rows follow the labels and whose test rows do not."""

    def get_n_splits(self) -> int:
        return 1

    def split(self, X, y, groups=None):
        rows = np.arange(len(y) // 2)
        few = min(np.bincount(y[rows], minlength=2))
        yield np.sort(np.concatenate([rows[y[rows] == c][:few] for c in (0, 1)])), np.arange(len(y) // 2, len(y))


def test_folds_with_the_same_test_rows_and_other_training_rows_are_kept_apart():
    given = problem()
    columns = np.stack([stream(k).permutation(given.labels) for k in range(5)], axis=1)
    folds = SplitterFolds(TrainOnAsManyOfEach(), given)
    seen: dict[int, Split] = {
        int(column): choice.splits[0]
        for choice in folds.choose(columns, lambda s, t: np.zeros(5))
        for column in choice.columns
    }
    for column, (train, _) in seen.items():
        own = next(TrainOnAsManyOfEach().split(None, columns[:, column]))[0]
        np.testing.assert_array_equal(train, own)


@pytest.mark.parametrize("probe", [ct.probes.RidgeProbe(), ct.probes.LogisticProbe(tol=1e-9)])
def test_rows_that_are_the_same_tie_whatever_the_block(probe):
    rng = stream(3)
    kinds = rng.normal(size=(9, 5))
    given = ct.Problem(kinds[rng.integers(9, size=90)], rng.integers(2, size=90))
    scores = [
        ct.measure(probe, given, controls=[SHUFFLE], scoring="roc_auc", draws=40, block=block)["ShuffleLabels"]
        for block in (1, 7, 64)
    ]
    for other in scores[1:]:
        np.testing.assert_allclose(other.control_scores, scores[0].control_scores, atol=1e-12)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("trainer", [ct.probes.RidgeProbe(), LogisticRegression()])
def test_draws_that_cannot_be_scored_are_counted_and_stop_nothing(trainer):
    rng = stream(4)
    labels = np.zeros(24, dtype=int)
    labels[[0, 12]] = 1
    document = np.repeat(np.arange(6), 4)
    given = ct.Problem(rng.normal(size=(24, 3)), labels, groups={"document": document}, unit="document")
    found = ct.measure(trainer, given, controls=[SHUFFLE], scoring="average_precision", cv=2, draws=30, block=1)
    comparison = found["ShuffleLabels"]
    undefined = int(np.isnan(comparison.control_scores).sum())
    assert undefined
    assert any(f"{undefined} draws had no defined score" in caveat for caveat in comparison.caveats)
    assert comparison.p_value >= (1 + undefined) / 31


def test_a_perfect_score_in_few_units_has_an_interval():
    document = np.repeat(np.arange(8), 5)
    labels = document % 2
    given = ct.Problem(
        labels[:, None] * 50.0 + stream(5).normal(size=(40, 2)), labels, groups={"document": document}, unit="document"
    )
    found = ct.measure(ct.probes.RidgeProbe(), given, controls=[ct.ShuffleLabels(whole="document")])
    assert found.score == 1.0
    # The rule of three: 3 of 8 units of another kind are missed one time in twenty.
    effect = found.comparisons[0].selectivity.value
    assert found.score_estimate.high - found.score_estimate.low > 2 * 3 / 8 * effect
    assert found.comparisons[0].p_floor == pytest.approx(2 / 70)  # mirrored labels tie


@dataclass(frozen=True)
class Noise(Control):
    """Adds noise to the activations."""

    level: ClassVar = "activations"
    inference: ClassVar = "ensemble"
    null: ClassVar = "The score is no higher than in noise."
    licenses: ClassVar = "More than noise."
    preserves: ClassVar = (SameGroups(),)
    destroys: ClassVar = ()

    def draw(self, problem, rng):
        return problem.with_activations(rng.normal(size=problem.X.shape))


def test_the_expected_target_is_for_controls_on_labels():
    with pytest.raises(ct.InputError, match="target must be 'fitted' for Noise"):
        ct.measure(ct.probes.RidgeProbe(), problem(), controls=[Noise()], target="expected")
    found = ct.measure(ct.probes.RidgeProbe(), problem(effect=3.0), controls=[Noise()], draws=19)
    assert found["Noise"].p_value == pytest.approx(0.05)


def test_the_expected_target_is_wider_where_training_rows_matter():
    given = problem(n=60, d=25, effect=1.0)
    errors = [
        ct.measure(ct.probes.RidgeProbe(), given, controls=[SHUFFLE], scoring=scoring, draws=19, target=target)
        .comparisons[0]
        .selectivity.standard_error
        for scoring in ("roc_auc",)
        for target in ("fitted", "expected")
    ]
    assert errors[1] > errors[0]


def test_a_probe_that_predicts_one_class_always_gets_no_interval_of_width_zero():
    rng = stream(0, "one class")
    X, rare = rng.normal(size=(400, 2)), np.arange(400) % 20 == 0
    result = ct.measure(
        ct.probes.RidgeProbe(), ct.Problem(X, rare.astype(int)), controls=[ct.ShuffleLabels()], scoring="f1", draws=99
    )
    assert result.score == 0.0
    assert np.isnan(result.comparisons[0].selectivity.low)
    assert "no unit changes the score" in result.comparisons[0].reason


def test_a_fold_whose_score_no_unit_changes_counts_by_its_distance_from_the_mean():
    tests = [np.array([0, 1]), np.array([2, 3]), np.array([4, 5])]
    splits = [(np.setdiff1d(np.arange(6), test), test) for test in tests]
    varied = np.array([[0.1], [-0.1]])
    parts = [FoldPart(np.array([s]), d, True) for s, d in ((0.0, 0 * varied), (0.6, varied), (0.3, varied))]
    found = combine(parts, splits, np.arange(6), 6)
    # One fold as one unit: (0 − .3)² 3/2 / 9; two folds of two units each: (.1 / 3)² four times.
    assert np.square(found.deviations).sum() == pytest.approx(0.3**2 * 3 / 2 / 9 + 4 * (0.1 / 3) ** 2)
    assert found.df.tolist() == [2.0]


def test_the_error_of_r2_has_its_size_where_nothing_can_be_read():
    """Folds that share training rows err together; R² of draws does not vary by that about one value."""
    setting = Setting("r2", 60, 10, effect=0.0)
    found = [one(setting, setting.mean_size, seed) for seed in range(150)]
    errors = np.array([each.value - each.truth for each in found])
    said = np.mean([each.standard_error**2 for each in found])
    assert 0.6 < errors.var() / said < 1.25  # about 1.8 if folds were taken as independent


def test_a_perfect_score_in_a_single_fold_has_the_right_reason():
    y = np.tile([0, 1], 30)
    X = np.random.default_rng(0).normal(size=(60, 3)) + 20 * y[:, None]
    folds = [(np.arange(30), np.arange(30, 60))]
    settings = {"controls": [ct.ShuffleLabels()], "scoring": "accuracy", "draws": 19}
    result = ct.measure(ct.probes.LogisticProbe(), ct.Problem(X, y), cv=folds, **settings)
    assert result.score == 1
    assert "no unit changes the score of a fold" in result.comparisons[0].reason
    one_unit = ct.Problem(X, y, groups={"document": np.repeat([0, 1], 30)}, unit="document")
    result = ct.measure(ct.probes.LogisticProbe(), one_unit, cv=folds, **settings)
    assert "no unit changes" not in result.comparisons[0].reason
