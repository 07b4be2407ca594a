"""compare_models: the permutation test by scipy, Welch by scipy, size and coverage by counts, doors."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy.stats import binomtest, permutation_test, ttest_ind

import controls as ct
from controls import report
from controls.core.rng import stream


def groups(seed, first, second, shift=0.0, law="normal"):
    rng = stream(seed, "models", law)
    draw = rng.standard_normal if law == "normal" else rng.standard_exponential
    return draw(first) + shift, draw(second)


@pytest.mark.parametrize(("first", "second"), [(2, 5), (4, 4), (6, 3)])
def test_p_and_interval_are_those_of_scipy(first, second):
    one, other = groups(0, first, second, 0.7)
    found = ct.compare_models(one, other)
    oracle = permutation_test((one, other), lambda a, b: a.mean() - b.mean(), alternative="greater", n_resamples=np.inf)
    assert found.p_value == pytest.approx(oracle.pvalue)
    assert found.p_floor == pytest.approx(1 / math.comb(first + second, first))
    interval = ttest_ind(one, other, equal_var=False).confidence_interval(0.95)
    assert (found.estimate.low, found.estimate.high) == pytest.approx((interval.low, interval.high))
    assert found.relabelings == math.comb(first + second, first)


def test_one_model_has_a_rank():
    found = ct.compare_models([3.0], np.arange(19.0) / 10)
    assert found.p_value == found.p_floor == 0.05
    assert "ranks 1 of 20 models" in str(found)
    assert str(found.verdict) == "SELECTIVE"
    ties = ct.compare_models([1.0], [1.0, 0.0, 0.5])
    assert ties.p_value == 0.5


@pytest.mark.parametrize(("sizes", "law"), [((4, 6), "normal"), ((3, 9), "exponential"), ((1, 19), "exponential")])
def test_size_where_all_models_have_one_law(sizes, law):
    p = np.array([ct.compare_models(*groups(seed, *sizes, law=law)).p_value for seed in range(400)])
    for alpha in (0.05, 0.1):
        exact = math.floor(alpha * math.comb(sum(sizes), sizes[0]) + 1e-9) / math.comb(sum(sizes), sizes[0])
        assert binomtest(int((p <= alpha).sum()), len(p), exact).pvalue > 0.001


def test_intervals_cover_and_effects_are_found():
    covered, found = 0, 0
    for seed in range(400):
        comparison = ct.compare_models(*groups(seed, 6, 8, 2.0))
        covered += comparison.estimate.low <= 2.0 <= comparison.estimate.high
        found += str(comparison.verdict) == "SELECTIVE"
    assert binomtest(covered, 400, 0.95).pvalue > 0.001
    assert found > 340


def test_verdicts_follow_the_smallest_effect():
    one, other = groups(3, 12, 12, 1.0)
    tight = one / 100 + 0.05, other / 100
    assert str(ct.compare_models(*tight, smallest_effect=0.5).verdict) == "NEGLIGIBLE"
    assert str(ct.compare_models(*tight[::-1]).verdict) == "WORSE THAN CONTROL"
    assert str(ct.compare_models(other / 100, other[::-1] / 100, smallest_effect=0.5).verdict) == "EQUIVALENT"
    few = ct.compare_models([3.0, 3.1], [0.0, 0.1])
    assert "at least 5 redrawn ones are needed" in few.reason


def test_results_are_compared_by_what_was_measured(tmp_path):
    y = np.tile([0, 1], 40)

    def measured(seed, signal, scoring="accuracy"):
        X = stream(seed, "X").normal(size=(80, 3)) + signal * y[:, None]
        problem = ct.Problem(X, y)
        return ct.measure(ct.probes.RidgeProbe(), problem, controls=[ct.ShuffleLabels()], draws=9, scoring=scoring)

    first, second = [measured(k, 1.0) for k in range(3)], [measured(10 + k, 0.1) for k in range(4)]
    found, scores = ct.compare_models(first, second), ct.compare_models(first, second, of="score")
    assert found.estimate.value == pytest.approx(
        np.mean([r.selectivity for r in first]) - np.mean([r.selectivity for r in second])
    )
    assert scores.values["trained"].tolist() == [result.score for result in first]
    assert str(found).splitlines()[0] == "selectivity against ShuffleLabels (accuracy): trained beside redrawn models"
    assert len(found.to_frame()) == 7
    content = json.loads(found.to_json(tmp_path / "found.json"))
    assert content == json.loads((tmp_path / "found.json").read_text())
    assert content["p_value"] == pytest.approx(1 / 35)
    with pytest.raises(ct.InputError, match="first must hold results of one metric"):
        ct.compare_models([*first, measured(0, 1.0, "roc_auc")], second)
    with pytest.raises(ct.InputError, match="must be measured alike"):
        ct.compare_models(first, [0.1, 0.2])


@pytest.mark.parametrize(
    ("arguments", "settings", "words"),
    [
        (([], [1.0]), {}, "first must hold at least one model"),
        (([1.0], [np.nan]), {}, "second must hold finite numbers, got 1"),
        ((3, [1.0]), {}, "first must be a sequence of results or numbers, got int"),
        ((["a"], [1.0]), {}, "first must hold results of ct.measure, or numbers, got str"),
        (([1.0], [2.0]), {"of": "p"}, "of must be one of"),
        (([1.0], [2.0]), {"names": ("a", "a")}, "names must be two different names"),
        (([1.0], [2.0]), {"alpha": 2}, "alpha must be"),
    ],
)
def test_refused(arguments, settings, words):
    with pytest.raises(ct.InputError, match=words):
        ct.compare_models(*arguments, **settings)


def test_two_single_models_have_no_interval():
    found = ct.compare_models([1.0], [0.0])
    assert math.isnan(found.estimate.low)
    assert json.loads(found.to_json())["estimate"]["low"] is None
    assert "not available" in str(found)


def compared_models():
    """One record of each kind."""
    y = np.tile([0, 1], 30)
    rng = stream(5, "records")
    problems = [ct.Problem(rng.normal(size=(60, 3)) + strength * y[:, None], y) for strength in (1.0, 0.0, 0.2)]
    crossed = ct.difference_in_differences(
        ct.probes.RidgeProbe(), problems[0], labels=ct.ShuffleLabels(), against=problems[1:], draws=9
    )
    return [crossed, ct.compare_models([3.0, 2.5], [0.1, 0.2, 0.4], names=("z", "a")), ct.compare_models([1], [0])]


@pytest.mark.parametrize("which", range(3))
def test_records_come_back_from_files_as_they_were(which, tmp_path):
    record = compared_models()[which]
    record.to_json(tmp_path / "found.json")
    for back in (ct.load(tmp_path / "found.json"), report.from_json(record.to_json())):
        assert type(back) is type(record)
        assert str(back) == str(record)
        assert back.to_json() == record.to_json()
        assert back.to_frame().equals(record.to_frame())
    if which == 0:
        assert back.components == record.components
        assert back.proofs == record.proofs


def test_a_file_with_other_models_than_it_names_is_refused():
    content = json.loads(compared_models()[1].to_json())
    with pytest.raises(ct.InputError, match="values must be of the models named"):
        report.from_json(json.dumps(content | {"names": ["z", "b"]}))
    with pytest.raises(ct.InputError, match="must be a Result or a Sweep"):
        report.as_html(compared_models()[1])
    with pytest.raises(ct.InputError, match="upgrade controls"):
        report.from_json(json.dumps(content | {"schema": "controls.model_comparison/2"}))


@pytest.mark.parametrize("which", range(3))
def test_figures_show_every_model_and_the_difference(which):
    record = compared_models()[which]
    models, difference = record.plot().axes
    groups = [record.trained, record.redrawn] if which == 0 else list(record.values.values())
    dots = [line.get_xdata() for line in models.lines if line.get_marker() == "o"]
    assert all(np.array_equal(drawn, values) for drawn, values in zip(dots, groups, strict=True))
    shown = [line.get_xdata() for line in difference.lines]
    assert shown[-1] == [record.estimate.value]
    assert any(list(ends) == list(record.bounds) for ends in shown) == math.isfinite(record.bounds[0])
    assert difference.get_title(loc="right") == str(record.verdict)
