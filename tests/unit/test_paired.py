"""The input baseline and its paired test: scipy as oracle, type I and power counted, every trainer and metric."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import final

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import controls as ct
from controls.core.properties import SameLabels
from controls.core.result import Verdict
from controls.core.rng import stream
from controls.runner.paired import NOTHING_READ, beside_labels
from controls.runner.prepare import prepare
from controls.stats.paired import paired_p_values, swap
from controls.testing import ControlsCheckError, check_control

# -- the test itself ------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [2, 3, 8])
def test_enumerated_p_is_that_of_scipy(size):
    for i in range(10):
        a, b = stream(i, "scipy").normal(loc=[[0.5], [0.0]], size=(2, size))
        expected = stats.permutation_test(
            (a, b), lambda x, y: (x - y).sum(), permutation_type="samples", alternative="greater", n_resamples=np.inf
        ).pvalue
        found = paired_p_values(a - b, 300, stream(0), tolerance=1e-12)
        assert found.upper == pytest.approx(expected)
        assert found.floor == pytest.approx(2.0**-size)
        assert found.interval is None


def test_random_swaps_agree_with_all_of_them():
    differences = stream(3, "swaps").normal(size=10) + 0.3
    every = paired_p_values(differences, 1023, stream(0), tolerance=1e-12)
    some = paired_p_values(differences, 1022, stream(0), tolerance=1e-12)
    low, high = some.interval
    assert low <= every.upper <= high
    assert some.floor == pytest.approx(1 / 1023)
    assert every.upper + every.lower == pytest.approx(1 + 1 / 1024)  # the observed one is in both tails


def test_units_without_a_difference_raise_the_floor():
    assert paired_p_values(np.array([0.0, 0.2, 0.1]), 99, stream(0), tolerance=1e-9).floor == 0.25
    assert paired_p_values(np.zeros(70), 99, stream(0), tolerance=1e-9).floor == 1.0
    assert paired_p_values(np.zeros(70), 99, stream(0), tolerance=1e-9).upper == 1.0


def test_swaps_are_the_same_for_all_pairs_and_come_in_blocks():
    differences = stream(0, "pairs").normal(size=(30, 3))
    together = swap(differences, 600, stream(0))
    assert together.swapped.shape == (3, 600)
    np.testing.assert_allclose(together.swapped[1], swap(differences[:, 1:2], 600, stream(0)).swapped[0])


def rejections(draw, repeats=1000):
    rng = stream(0, "type I", draw.__name__)
    return sum(paired_p_values(draw(rng), 99, rng, tolerance=1e-12).upper <= 0.05 for _ in range(repeats))


def few_symmetric(rng):
    return rng.standard_t(2, size=9) * np.arange(1, 10)


def many_symmetric(rng):
    return rng.laplace(size=40) * rng.integers(1, 20, size=40)


def lifted(rng):
    return rng.normal(size=40) + 0.5


@pytest.mark.parametrize("draw", [few_symmetric, many_symmetric])
def test_false_alarms_are_at_their_level_for_symmetric_differences(draw):
    assert stats.binomtest(rejections(draw), 1000, 0.05).pvalue > 1e-3


def test_power_is_near_that_of_the_t_test():
    share = rejections(lifted) / 1000
    t = stats.nct.sf(stats.t.ppf(0.95, 39), 39, 0.5 * math.sqrt(40))
    assert t - 0.06 < share <= 1.0


# -- the control ----------------------------------------------------------------------------------


def layers(seed=0, n=400, n_units=40, strengths=(0.0, 0.3, 1.5), **more):
    rng = stream(seed, "layers")
    document = rng.permutation(np.arange(n) % n_units)
    z = rng.normal(size=n)
    sites = {f"layer {i}": rng.normal(size=(n, 3 + i)) + s * z[:, None] for i, s in enumerate(strengths)}
    return ct.Problem(sites, z + 0.3 * rng.normal(size=n) > 0, groups={"document": document}, unit="document", **more)


def compare(problem, control, trainer=None, **settings):
    trainer = ct.probes.RidgeProbe() if trainer is None else trainer
    return ct.measure(trainer, problem, controls=[control], **{"draws": 99, **settings})


PIPELINE = make_pipeline(StandardScaler(), LogisticRegression())


@pytest.mark.parametrize("trainer", [ct.probes.RidgeProbe(), PIPELINE], ids=["batched", "pipeline"])
def test_the_baseline_scores_what_measuring_the_other_site_scores(trainer):
    problem, baseline = layers(), ct.InputBaseline(site="layer 0")
    result = compare(problem.at("layer 2"), baseline, trainer)
    alone = compare(problem.at("layer 0"), ct.ResampleLabels(), trainer, draws=1)
    (found,) = result.comparisons
    assert found.control_scores.tolist() == [alone.score]
    assert found.selectivity.value == pytest.approx(result.score - alone.score)
    assert (found.inference, found.draws, found.level) == ("paired", 1, "activations")
    assert (found.p_value, found.verdict) == (0.01, Verdict.SELECTIVE)
    assert found.caveats == (NOTHING_READ,)
    assert found.log_relabelings == pytest.approx(40 * math.log(2))
    assert compare(problem.at("layer 0"), ct.InputBaseline(site="layer 2"), trainer).comparisons[0].p_value == 1.0


def test_p_and_interval_by_hand_from_the_rows_that_were_right():
    problem = layers(1, n=60, n_units=6, strengths=(0.3, 1.0))
    prepared = prepare(ct.Study(PIPELINE, [ct.InputBaseline(site="layer 0")], cv=3), problem.at("layer 1"))
    units, differences = problem.unit_codes, np.zeros(6)
    for train, test in prepared.evaluator.folds.default():
        right = []
        for site in ("layer 1", "layer 0"):
            X = problem.activations[site]
            fitted = make_pipeline(StandardScaler(), LogisticRegression()).fit(X[train], problem.labels[train])
            right.append(fitted.predict(X[test]) == problem.labels[test])
        rows = (right[0].astype(float) - right[1]) / len(test) / 3
        differences += np.bincount(units[test], rows, minlength=6)
    result = compare(problem.at("layer 1"), ct.InputBaseline(site="layer 0"), PIPELINE, cv=3)
    (found,) = result.comparisons
    assert found.selectivity.value == pytest.approx(differences.sum())
    assert found.p_value == pytest.approx(paired_p_values(differences, 99, stream(0), tolerance=1e-9).upper)
    assert found.enumerated
    assert found.p_interval is None
    assert found.p_floor >= 1 / 64


@pytest.mark.parametrize("scoring", ["roc_auc", "balanced_accuracy"])
def test_scores_that_are_no_means_over_rows_are_called_approximate(scoring):
    (found,) = compare(layers().at("layer 2"), ct.InputBaseline(site="layer 1"), scoring=scoring).comparisons
    assert found.inference == "paired"
    assert "known to first order" in found.caveats[0]
    assert found.p_value == 0.01


def test_scores_without_unit_values_are_swapped_by_whole_folds():
    def apart(finding, problem):
        scores = finding.decision_function(problem.X)
        return scores[problem.labels].mean() - scores[~problem.labels].mean()

    problem, baseline = layers(n=150, n_units=25).at("layer 2"), ct.InputBaseline(site="layer 0")
    (found,) = compare(problem, baseline, PIPELINE, scoring=apart).comparisons
    assert found.p_value == found.p_floor == pytest.approx(1 / 32)
    assert "whole folds were swapped, of which there are 5" in found.caveats[0]
    two = compare(problem, baseline, PIPELINE, scoring=apart, cv=2)
    assert two.comparisons[0].verdict is Verdict.INCONCLUSIVE
    assert "it has 4 distinct swaps" in two.comparisons[0].reason


def test_false_alarms_of_the_whole_are_at_their_level():
    """Both sites read the same concept through noise of their own: neither is better."""
    count, lower = 0, 0
    for i in range(200):
        problem = layers(i, n=200, n_units=25, strengths=(1.0, 1.0))
        problem = problem.with_activations({**problem.activations, "layer 1": problem.activations["layer 1"][:, :3]})
        (found,) = compare(problem.at("layer 1"), ct.InputBaseline(site="layer 0"), cv=3, draws=19).comparisons
        count += found.p_value <= 0.05
        lower += found.p_lower <= 0.05
    assert stats.binomtest(count, 200, 0.05, alternative="greater").pvalue > 1e-3
    assert stats.binomtest(lower, 200, 0.05, alternative="greater").pvalue > 1e-3


def test_false_alarms_of_one_split_are_at_their_level_where_there_is_nothing_to_read():
    count, split = 0, [(np.arange(120), np.arange(120, 300))]
    for i in range(200):
        rng = stream(i, "nothing")
        sites = {"a": rng.normal(size=(300, 3)), "b": rng.normal(size=(300, 3))}
        problem = ct.Problem(sites, rng.random(300) < 0.5).at("a")
        (found,) = compare(
            problem,
            ct.InputBaseline(site="b"),
            cv=split,
            draws=19,
            scoring="accuracy",  # of which the fitted models have one half each; one may have the better log-loss
        ).comparisons
        count += found.p_value <= 0.05
    assert stats.binomtest(count, 200, 0.05, alternative="greater").pvalue > 1e-3


# -- where neither side reads anything ------------------------------------------------------------


def battery_of(pair, *others):
    """The verdict, as a battery of these comparisons leaves it at alpha .05 in five folds."""
    return beside_labels([pair, *others], 0.05, 5)[0]


def test_where_nothing_is_shown_to_be_read_no_side_is_better(build):
    pair = build.comparison("InputBaseline", inference="paired", level="activations", claim_p=0.01, p_value=0.01)
    read, unread = (build.comparison("ShuffleLabels", p_value=p) for p in (0.02, 0.3))
    found = battery_of(pair, read)
    assert (found.claim_p, found.verdict, found.licensed) == (0.02, pair.verdict, pair.licensed)
    found = battery_of(pair, read, unread)
    assert (found.verdict, found.claim_p, found.licensed, found.p_value) == (Verdict.INCONCLUSIVE, 0.3, False, 0.01)
    assert "p = 0.01 by swaps, but 0.3 of ShuffleLabels: that anything is read at all is not shown" in found.reason
    worse = replace(pair, verdict=Verdict.WORSE)
    assert battery_of(worse, unread).verdict is Verdict.WORSE
    for other in (build.comparison("ResampleLabels", inference="ensemble"), build.comparison("Own", level="weights")):
        assert battery_of(pair, other).verdict is Verdict.SELECTIVE
        assert "no exact control on labels" in battery_of(pair, other).caveats[-1]
    assert beside_labels([pair], 0.05, 1) == [pair]


def test_a_baseline_without_an_exact_control_on_labels_carries_a_caveat():
    problem, baseline = layers().at("layer 2"), ct.InputBaseline(site="layer 0")
    train = problem.unit_codes < 20
    for more, settings, count in [
        ([], {}, 1),
        ([ct.ResampleLabels()], {}, 1),
        ([ct.ShuffleLabels()], {}, 0),
        ([], {"cv": [(train, ~train)]}, 0),
    ]:
        result = ct.measure(ct.probes.RidgeProbe(), problem, controls=[baseline, *more], draws=39, **settings)
        caveats = result["InputBaseline"].caveats
        assert ["no exact control on labels stands beside" in words for words in caveats] == [True] * count
        assert result["InputBaseline"].verdict is Verdict.SELECTIVE


# -- where the other side is found ----------------------------------------------------------------


def test_raw_inputs_come_from_the_source_and_are_flattened():
    plain = layers()
    images = stream(0, "images").integers(255, size=(400, 4, 2)).astype(np.uint8)
    source = ct.Source(model=None, inputs=images, extract=lambda model, inputs: inputs)
    problem = ct.Problem(
        plain.activations["layer 2"], plain.labels, groups=plain.groups, unit="document", source=source
    )
    drawn = ct.InputBaseline().draw(problem, stream(0))
    np.testing.assert_array_equal(drawn.X, images.reshape(400, 8))
    (found,) = compare(problem, ct.InputBaseline()).comparisons
    assert (found.level, found.verdict) == ("inputs", Verdict.SELECTIVE)
    assert found.integrity == {"features": 5.0, "features of the raw input": 8.0}


def test_sites_beside_the_one_chosen_stay_within_reach_and_keep_their_rows():
    problem = layers()
    part = problem.at("layer 1").take(np.arange(10, 20)).take(np.array([3, 1]))
    np.testing.assert_array_equal(part.array_at("layer 0"), problem.activations["layer 0"][[13, 11]])
    assert part.sites == ()
    mask = np.arange(400) % 2 == 0
    assert problem.at("layer 1").take(mask).array_at("layer 2").shape == (200, 5)
    with pytest.raises(ct.InputError, match="site 'layer 0' is not known; there are none"):
        problem.at("layer 1").alone().array_at("layer 0")


def test_a_sweep_compares_every_layer_with_one_of_them():
    swept = ct.sweep(
        ct.probes.RidgeProbe(),
        layers(strengths=(0.3, 0.3, 1.5)),
        controls=[ct.InputBaseline("layer 0")],
        sites=["layer 1", "layer 2"],
        draws=199,
    )
    adjusted = swept.adjusted_p["InputBaseline"]
    single = {site: swept[site].comparisons[0].p_value for site in swept.results}
    assert adjusted["layer 2"] == 0.005
    assert all(adjusted[site] >= single[site] for site in single)
    assert adjusted["layer 1"] == pytest.approx(single["layer 1"])  # the last step stands alone
    assert "layer 1" in repr(swept)


def test_max_t_of_pairs_is_that_of_their_swaps():
    from controls.runner.execute import run_plan
    from controls.runner.paired import max_t_pairs

    problem = layers(strengths=(0.3, 0.4, 0.6))
    study = ct.Study(ct.probes.RidgeProbe(), [ct.InputBaseline("layer 0")], draws=99)
    runs = []
    for site in ("layer 1", "layer 2"):
        prepared = prepare(study, problem.at(site))
        runs.append(run_plan(prepared.plan, prepared.evaluator))
    table = np.stack([run.observed.shares - run.drawn[0].shares for run in runs], axis=1)
    signs = 1.0 - 2.0 * stream(0, "swap").integers(2, size=(99, 40))
    everything = np.concatenate([table.sum(axis=0)[None], signs @ table])
    z = (everything - everything.mean(axis=0)) / everything.std(axis=0)
    best = int(z[0].argmax())
    expected = (1 + (z[1:].max(axis=1) >= z[0, best] - 1e-12).sum()) / 100
    assert max_t_pairs(runs, 0, 99, 0, 1e-12)[best] == pytest.approx(expected)


def test_processes_give_the_same_and_plans_know_of_one_evaluation():
    problem = layers(n=120, n_units=20).at("layer 2")
    battery = [ct.ShuffleLabels(within="document"), ct.InputBaseline("layer 0")]
    planned = ct.plan(PIPELINE, problem, controls=battery, draws=9, cv=2)
    assert planned.fits == 2 * (1 + 9 + 1)
    assert "InputBaseline(site='layer 0'): one paired comparison, p floor 0.1" in str(planned)
    one, two = (ct.measure(PIPELINE, problem, controls=battery, draws=9, cv=2, n_jobs=n) for n in (1, 2))
    assert [c.p_value for c in one.comparisons] == [c.p_value for c in two.comparisons]


# -- what a reader sees ---------------------------------------------------------------------------


def test_reports_speak_of_a_pair(tmp_path):
    result = compare(layers().at("layer 2"), ct.InputBaseline(site="layer 0"), title="layer 2 beside its input")
    shown = repr(result)
    assert "(one paired comparison)" in shown
    assert ".01 (floor .01)" in shown
    assert "rank" not in shown
    page = result.save(tmp_path).read_text(encoding="utf-8")
    assert "by swapping the two scores unit by unit" in page
    assert "Score of the other side" in page
    assert "By the swaps made" in page
    assert ct.load(tmp_path / "result.json")["InputBaseline"].inference == "paired"
    assert "the largest p is 0.01, of InputBaseline" in result.reason


# -- refusals -------------------------------------------------------------------------------------


def test_what_cannot_be_compared_is_refused_before_any_work():
    problem = layers()
    for control, given, kind, words in [
        (ct.InputBaseline("layer 2"), problem.at("layer 2"), ct.CannotControl, "with itself; measure another site"),
        (
            ct.InputBaseline("layr 1"),
            problem.at("layer 2"),
            ct.InputError,
            "Did you mean 'layer 0'|Did you mean 'layer 1'",
        ),
        (ct.InputBaseline(), problem.at("layer 2"), ct.InputError, "but there is none; give source="),
    ]:
        with pytest.raises(kind, match=words):
            compare(given, control)
    with pytest.raises(ct.InputError, match="target must be 'fitted' for InputBaseline"):
        compare(problem.at("layer 2"), ct.InputBaseline("layer 0"), target="expected")
    with pytest.raises(ct.InputError, match="site must be the name of a site"):
        ct.InputBaseline(site="")


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ([["a text"]] * 4, "source.inputs must hold numbers"),
        (np.zeros((3, 2)), r"one row per row of activations \(4\), got shape \(3, 2\)"),
        (np.full((4, 1), np.nan), "source.inputs must be finite"),
    ],
)
def test_inputs_that_are_no_numbers_are_refused(inputs, words):
    source = ct.Source(model=None, inputs=inputs, extract=lambda model, inputs: inputs)
    with pytest.raises(ct.InputError, match=words):
        ct.InputBaseline().check(ct.Problem(np.eye(4), [0, 1, 0, 1], source=source))


# -- planted faults -------------------------------------------------------------------------------


@final
@dataclass(frozen=True)
class Broken(ct.Control):
    """An input baseline with a fault."""

    fault: str
    level = "inputs"
    inference = "paired"
    null = "It makes no difference."
    licenses = "It does."
    destroys = ct.InputBaseline().destroys

    @property
    def preserves(self):
        return (SameLabels(),)

    def draw(self, problem, rng):
        drawn = ct.InputBaseline().draw(problem, rng)
        if self.fault == "random":
            return drawn.with_activations(drawn.X + rng.normal(size=drawn.X.shape))
        if self.fault == "labels":
            return drawn.with_labels(problem.labels[::-1])
        return problem


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("random", "must draw the same every time"),
        ("labels", "claims to keep the labels"),
        ("identity", "draws the identity every time"),
    ],
)
def test_planted_faults_of_a_baseline_are_found(fault, words):
    with pytest.raises(ControlsCheckError, match=words):
        check_control(Broken(fault), draws=20)
