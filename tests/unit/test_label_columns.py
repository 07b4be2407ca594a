"""Labels of several columns: the mean of what each scores alone, with draws that keep a row's labels together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

import controls as ct
from controls.core.errors import InputError
from controls.core.result import Verdict
from controls.core.rng import stream
from controls.probes._ridge import RidgeEngine
from controls.runner import plan
from controls.runner.draws import draw_stream
from controls.runner.execute import run_plan
from controls.runner.folds import make_folds
from controls.runner.prepare import prepare

DOCUMENT = np.repeat(np.arange(24), 5)
N = len(DOCUMENT)
SHUFFLE = ct.ShuffleLabels()
WITHIN = ct.ShuffleLabels(within="document")


def world(kind="binary", *, seed=0, effect=1.0):
    """Labels of three columns: one goes with the features, one in part, one rare and not at all."""
    rng = stream(seed, "label columns", kind)
    X = rng.normal(size=(N, 5))
    latent = effect * X[:, :3] * [1.0, 0.5, 0.0] + rng.normal(size=(N, 3))
    latent[:, 1] += latent[:, 0]
    Y = latent if kind == "numbers" else (latent > [0.0, 0.3, 1.2]).astype(int)
    return ct.Problem(X, Y, groups={"document": DOCUMENT, "word": rng.integers(0, 15, N)}, unit="document")


def column(problem, j):
    return ct.Problem(problem.X, problem.labels[:, j], groups=problem.groups, unit=problem.unit)


def evaluator(trainer, problem, control=SHUFFLE, **settings):
    study = ct.Study(trainer, (control,), draws=9, **settings)
    return prepare(study, problem).evaluator


PROBES = [
    (ct.probes.LogisticProbe(), "roc_auc", "binary"),
    (ct.probes.LDAProbe(), "balanced_accuracy", "binary"),
    (ct.probes.RidgeProbe(), "r2", "numbers"),
    (ct.probes.RidgeProbe(), "pearsonr", "numbers"),
    (make_pipeline(StandardScaler(), LogisticRegression()), "average_precision", "binary"),
    (Ridge(), "neg_mean_absolute_error", "numbers"),
]


@pytest.mark.parametrize(("trainer", "scoring", "kind"), PROBES, ids=lambda value: str(value)[:20])
def test_scores_and_deviations_are_means_of_those_of_each_column_alone(trainer, scoring, kind):
    problem = world(kind)
    together = evaluator(trainer, problem, scoring=scoring)
    orders = [np.arange(N), *(stream(i, "order").permutation(N) for i in range(3))]
    codes = np.stack([together.problem.labels[order] for order in orders], axis=1)
    wanted = np.arange(4) < 1  # deviations that need resampling are dear
    found = together.evaluate(codes, wanted=wanted)
    alone = [
        evaluator(trainer, column(problem, j), scoring=scoring).evaluate(
            np.stack([problem.labels[order, j] for order in orders], axis=1), wanted=wanted
        )
        for j in range(3)
    ]
    np.testing.assert_allclose(found.scores, np.mean([part.scores for part in alone], axis=0), atol=1e-9)
    np.testing.assert_allclose(found.deviations, np.mean([part.deviations for part in alone], axis=0), atol=1e-9)
    assert found.left_out == alone[0].left_out
    assert (found.df == np.min([part.df for part in alone], axis=0)).all()


@pytest.mark.parametrize(("in_memory", "most"), [(1, 1), (2 * N, 2), (5 * N, 5)])
def test_columns_fitted_in_one_go_are_bounded_by_rows(in_memory, most, monkeypatch):
    together = evaluator(ct.probes.RidgeProbe(), world(), scoring="roc_auc")
    codes = np.stack([stream(i, "order").permutation(together.problem.labels) for i in range(4)], axis=1)
    unbounded, seen, predict = together.evaluate(codes), [], RidgeEngine.predict

    def watched(self, fold, targets, needs):
        seen.append(targets.shape[1])
        return predict(self, fold, targets, needs)

    monkeypatch.setattr(RidgeEngine, "predict", watched)
    monkeypatch.setattr(plan, "_IN_CACHE", 1)
    monkeypatch.setattr(plan, "_IN_MEMORY", in_memory)
    np.testing.assert_allclose(together.evaluate(codes).scores, unbounded.scores, atol=1e-12)
    assert max(seen) == most


def test_draws_rearrange_whole_rows_of_labels():
    problem = world()
    estimator = make_pipeline(StandardScaler(), LogisticRegression())
    result = ct.measure(estimator, problem, controls=[WITHIN], scoring="accuracy", draws=4, cv=4)
    splits = make_folds(4, problem, 0).default()
    by_hand = []
    for draw in range(4):
        drawn = WITHIN.draw(problem, draw_stream(0, WITHIN, draw)).labels
        assert sorted(map(tuple, drawn[:5])) == sorted(map(tuple, problem.labels[:5]))
        by_hand.append(np.mean([cross_val_score(estimator, problem.X, y, cv=splits).mean() for y in drawn.T]))
    np.testing.assert_allclose(result.comparisons[0].control_scores, by_hand, atol=1e-12)


@pytest.mark.parametrize(
    "control",
    [
        ct.ShuffleLabels(whole="document", blocks=True),
        ct.ControlTask(per="word"),
        ct.ResampleLabels(within="document"),
        ct.compose(WITHIN, SHUFFLE),
    ],
    ids=lambda control: control.name,
)
def test_controls_that_move_labels_take_label_sets(control):
    problem = world()
    result = ct.measure(ct.probes.RidgeProbe(), problem, controls=[control], scoring="roc_auc", draws=19)
    # Tasks may leave the rare column with one class, and then have no score; shuffles keep every column's counts.
    defined = np.isfinite(result.comparisons[0].control_scores).mean()
    assert defined > 0.5 if control.inference == "ensemble" else defined == 1
    pairs = set(map(tuple, problem.labels))
    assert set(map(tuple, control.draw(problem, stream(0)).labels)) <= pairs  # no set that was not there
    if not hasattr(control, "parts"):
        ct.testing.check_control(control, problem, draws=100)


def test_few_relabelings_of_label_sets_are_enumerated():
    Y = np.array([[0, 0], [0, 1], [1, 1], [0, 1]])
    problem = ct.Problem(stream(0).normal(size=(4, 2)), Y)
    plan = ct.plan(ct.probes.RidgeProbe(), problem, controls=[SHUFFLE], cv=2)
    assert (plan.controls[0].draws, plan.controls[0].enumerated) == (12, True)  # 4! / 2!


def test_the_caveats_look_at_every_column():
    rng = stream(0, "serial")
    runs = np.repeat(rng.integers(0, 2, (60, 1)), 5, axis=0)[:, 0]  # one column follows itself, in runs of five
    noise = rng.integers(0, 2, 300)
    groups = {"document": np.repeat(np.arange(10), 30)}
    for Y, exact in ((np.stack([noise, runs], 1), False), (rng.integers(0, 2, (300, 2)), True)):
        for labels in (Y, Y + 0.01 * rng.normal(size=Y.shape)):
            problem = ct.Problem(rng.normal(size=(300, 2)), labels, groups=groups, unit="document")
            result = ct.measure(ct.probes.RidgeProbe(), problem, controls=[WITHIN], draws=19)
            assert (result.comparisons[0].inference == "exact") is exact


def test_false_alarms_are_as_many_as_said():
    alarms, repeats = 0, 60
    for seed in range(repeats):
        problem = world(seed=seed, effect=0.0)
        result = ct.measure(
            ct.probes.RidgeProbe(), problem, controls=[SHUFFLE], scoring="roc_auc", draws=19, cv=3, seed=seed
        )
        alarms += result.comparisons[0].p_value <= 0.05
    assert stats.binomtest(alarms, repeats, 0.05, alternative="greater").pvalue > 1e-3


def test_a_function_of_the_finding_gets_all_columns():
    shapes = set()

    def nearest(X, Y):
        shapes.add(Y.shape[1:])
        return lambda rows: Y[((rows[:, None] - X) ** 2).sum(axis=2).argmin(axis=1)]

    def hamming(finding, problem):
        shapes.add(problem.labels.shape[1:])
        return (finding(problem.X) == problem.labels).mean(axis=1)

    result = ct.measure(nearest, world(), controls=[WITHIN], scoring=hamming, draws=9, key="nearest")
    assert shapes == {(3,)}
    assert 0.5 < result.score < 1.0


def test_sweeps_plans_targets_and_splitters():
    problem = world()
    layers = ct.Problem({"a": problem.X, "b": problem.X[:, ::-1].copy()}, problem.labels, groups=problem.groups)
    swept = ct.sweep(ct.probes.RidgeProbe(), layers, controls=[SHUFFLE], scoring="roc_auc", draws=9)
    assert swept.results["a"].score == pytest.approx(swept.results["b"].score, abs=1e-9)
    expected = ct.measure(ct.probes.RidgeProbe(), problem, controls=[WITHIN], draws=9, target="expected")
    assert np.isfinite(expected.comparisons[0].selectivity.low)
    rows = ct.Problem(problem.X, problem.labels)
    cv = StratifiedKFold(3, shuffle=True, random_state=0)
    result = ct.measure(LogisticRegression(), rows, controls=[SHUFFLE], cv=cv, draws=3)
    by_hand = [cross_val_score(LogisticRegression(), rows.X, y, cv=cv).mean() for y in rows.labels.T]
    assert result.score == pytest.approx(np.mean(by_hand))


def test_the_report_and_the_key_say_what_the_labels_were():
    problem = world()
    result = ct.measure(ct.probes.RidgeProbe(), problem, controls=[SHUFFLE], draws=9)
    assert any("labels have 3 columns" in note for note in result.notes)
    other = ct.Problem(problem.X, problem.labels[:, ::-1], groups=problem.groups, unit="document")
    again = ct.measure(ct.probes.RidgeProbe(), other, controls=[SHUFFLE], draws=9)
    assert again.score == pytest.approx(result.score)
    assert again.provenance.data_key != result.provenance.data_key


@final
@dataclass(frozen=True)
class Turned(ct.LabelControl):
    """Reads labels: it turns them over."""

    inference = "ensemble"
    null = licenses = "It says nothing."
    preserves = destroys = ()

    def relabel(self, problem, rng):
        return 1 - problem.labels


@pytest.mark.parametrize(
    ("labels", "settings", "words"),
    [
        (lambda Y: Y * [1, 0, 1], {}, "must not be constant, got 0 in all 120 rows of column 1; leave it out"),
        (lambda Y: Y + np.array([0, 1, 0]), {}, "must be 0 and 1 .* for classification, got 2 in column 1"),
        (lambda Y: np.where(Y == 1, "yes", "no"), {}, "must be 0 and 1 .* got 'no' in column 0"),
        (lambda Y: np.where(Y == 1, "yes", "no"), {"scoring": "r2"}, "must be numbers for regression, got dtype <U3"),
        (lambda Y: 2.0 * Y - 1, {"controls": [ct.FlipSigns()]}, r"shape \(n,\) for FlipSigns, .* one column at a time"),
        (lambda Y: Y, {"controls": [Turned()]}, r"shape \(n,\) for Turned, which reads the labels that it changes"),
        (lambda Y: 2.0 * Y - 1, {"controls": [ct.compose(SHUFFLE, ct.FlipSigns())]}, r"shape \(n,\) for ShuffleLabels"),
    ],
)
def test_labels_and_controls_refused(labels, settings, words):
    problem = world()
    changed = ct.Problem(problem.X, labels(problem.labels), groups=problem.groups, unit="document")
    with pytest.raises(InputError, match=words) as caught:
        ct.measure(ct.probes.RidgeProbe(), changed, **{"controls": [SHUFFLE], "draws": 9, **settings})
    assert str(caught.value).endswith(".")


def test_sign_flips_of_several_columns_are_refused_when_drawn():
    with pytest.raises(InputError, match="for sign flips, got several columns"):
        ct.FlipSigns().draw(world("numbers"), stream(0))


def test_the_trainer_kit_asks_for_one_column():
    with pytest.raises(InputError, match=r"shape \(n,\) to check a trainer, got \(120, 3\)"):
        ct.testing.check_trainer(ct.probes.RidgeProbe(), world())


@pytest.mark.parametrize("trainer", [ct.probes.RidgeProbe(), DecisionTreeClassifier(max_depth=2)], ids=["all", "one"])
@pytest.mark.parametrize("scoring", ["accuracy", "roc_auc"])
def test_an_input_baseline_compares_the_means_of_columns(trainer, scoring):
    rng = stream(0, "columns beside the input")
    X = rng.normal(size=(120, 4))
    labels = (X[:, :3] + rng.normal(size=(120, 3)) > 0).astype(int)
    sites = {"layer": X, "input": rng.normal(size=(120, 2))}
    problem = ct.Problem(sites, labels, groups={"document": np.arange(120) // 6}, unit="document").at("layer")
    battery = [ct.InputBaseline(site="input"), ct.ShuffleLabels()]
    found = ct.measure(trainer, problem, controls=battery, scoring=scoring, draws=99)["InputBaseline"]
    assert (found.p_value, found.verdict) == (0.01, Verdict.SELECTIVE)
    assert not any("no defined score" in words for words in found.caveats)
    prepared = prepare(ct.Study(trainer, battery, scoring=scoring, draws=2), problem)
    run = run_plan(prepared.plan, prepared.evaluator)
    if scoring == "accuracy":  # a mean over rows
        assert run.observed.shares.sum() == pytest.approx(run.observed.scores[0])
