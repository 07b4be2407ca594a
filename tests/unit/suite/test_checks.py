"""Checks of the suite: each can pass and can fail, and its level is what it says."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom

from controls.core.errors import InputError
from controls.testing.suite.case import (
    Bound,
    Ceiling,
    Coverage,
    Effect,
    Effort,
    Exact,
    NearZero,
    Power,
    Rejections,
    Seen,
    Verdict,
)

GOOD_AND_BAD = [
    (Rejections("", 14, 200), Rejections("", 30, 200)),
    (Rejections("", 10, 200, met=True), Rejections("", 0, 200, met=True)),
    (Ceiling("", 70, 100, 0.6), Ceiling("", 90, 100, 0.6)),
    (Seen("", 30, 200), Seen("", 14, 200)),
    (Coverage("", 465, 500), Coverage("", 430, 500)),
    (Power("", 80, 100, at=1, expected=0.75), Power("", 80, 100, at=1, expected=0.5)),
    (NearZero("", -0.009), NearZero("", 0.011)),
    (Effect("", 1.0, 1.2, 0.1, 9), Effect("", 1.0, 1.5, 0.1, 9)),
    (Exact("", 1.0, 1 + 1e-10, 1e-9), Exact("", 1.0, 1 + 1e-8, 1e-9)),
    (Bound("", "at most", 1.0, 1.0), Bound("", "at most", 1.0, 1.1)),
    (Bound("", "at least", 1.0, 1.0), Bound("", "at least", 1.0, 0.9)),
    (Verdict("", "SELECTIVE", "SELECTIVE"), Verdict("", "SELECTIVE", "INCONCLUSIVE")),
]


@pytest.mark.parametrize(("good", "bad"), GOOD_AND_BAD)
def test_a_check_can_pass_and_can_fail(good, bad):
    assert good.passed(0.001)
    assert not bad.passed(0.001)


@pytest.mark.parametrize("level", [0.05, 0.01, 1e-4])
def test_a_true_rate_fails_no_more_often_than_the_level_says(level):
    counts = np.arange(201)
    weight = binom.pmf(counts, 200, 0.05)
    for check in (Rejections, Coverage):
        failed = sum(weight[k] for k in counts if not check("", int(k), 200, 0.05).passed(level))
        assert 0 < failed <= level
    both = sum(weight[k] for k in counts if not Rejections("", int(k), 200, met=True).passed(level))
    assert 0 < both <= level
    seen = sum(weight[k] for k in counts if Seen("", int(k), 200).passed(level))
    assert 0 < seen <= level


@pytest.mark.parametrize("level", [0.01, 1e-5])
def test_an_effect_may_be_off_by_three_errors_whatever_the_level(level):
    assert Effect("", 0.0, 2.99, 1.0, 9).passed(level)
    assert not Effect("", 0.0, 3.01, 1.0, 9).passed(level)


@pytest.mark.parametrize(("repetitions", "met"), [(500, False), (500, True), (40, False)])
def test_the_visible_rate_is_the_one_that_fails_four_times_in_five(repetitions, met):
    check, level, counts = Rejections("", 0, repetitions, met=met), 1e-4, np.arange(repetitions + 1)
    above = [k for k in counts[counts > 0.05 * repetitions] if not replace(check, count=int(k)).passed(level)]
    assert binom.pmf(above, repetitions, check.visible(level)).sum() == pytest.approx(0.8, abs=1e-6)
    coverage = Coverage("", repetitions, repetitions, rate=0.95)
    below = [k for k in counts[counts < 0.95 * repetitions] if not replace(coverage, count=int(k)).passed(level)]
    assert binom.pmf(below, repetitions, coverage.visible(level)).sum() == pytest.approx(0.8, abs=1e-6)


def test_too_few_repetitions_are_those_that_would_miss_five_points():
    assert Rejections("", 0, 40).too_few(1e-4)
    assert Rejections("", 0, 1).too_few(1e-4)
    assert Rejections("", 0, 1).visible(1e-4) is None
    assert not Rejections("", 30, 600).too_few(1e-4)
    assert Coverage("", 150, 150).too_few(1e-4)
    assert not Coverage("", 570, 600).too_few(1e-4)
    assert not Seen("", 1, 2).too_few(1e-4)


@pytest.mark.parametrize(
    "broken",
    [
        lambda: Rejections("x", 201, 200),
        lambda: Rejections("x", -1, 200),
        lambda: Seen("x", 0, 0),
        lambda: Seen("x", 1, 2, rate=5),
        lambda: Effect("x", 0.0, 0.0, 0.0, 9),
        lambda: Effect("x", 0.0, 0.0, float("nan"), 9),
        lambda: Effect("x", 0.0, 0.0, 1.0, 1),
        lambda: Bound("x", "below", 0.0, 0.0),
        lambda: Verdict("x", 1.0, 1.0),
    ],
)
def test_what_cannot_be_is_refused_by_name(broken):
    with pytest.raises(InputError, match="'x'"):
        broken()


@pytest.mark.parametrize(
    "nan",
    [
        NearZero("", np.nan),
        Effect("", 0.0, np.nan, 1.0, 9),
        Exact("", 0.0, np.nan, 1.0),
        Bound("", "at most", 0, np.nan),
    ],
)
def test_nan_never_passes(nan):
    assert not nan.passed(0.01)


def test_every_check_goes_into_a_file_with_what_is_expected_and_measured():
    for pair in GOOD_AND_BAD:
        for check, passed in zip(pair, (True, False), strict=True):
            found = json.loads(json.dumps(check.as_dict(0.001)))
            assert found["passed"] is passed
            assert found["kind"] == type(check).__name__
            assert found["expected_words"]
            assert {"expected", "measured"} <= set(found)


def test_a_short_effort_takes_the_first_and_streams_go_by_key():
    assert Effort(short=True).pick(1, 2) == 1
    assert Effort().pick(1, 2) == 2
    assert Effort().stream("a", 1).random() == Effort(short=True).stream("a", 1).random()
    assert Effort().stream("a", 1).random() != Effort().stream("a", 2).random()


def test_a_second_run_has_other_streams_other_seeds_and_four_times_the_repetitions():
    first, second = Effort(short=True), Effort(short=True, second=True)
    assert first.stream("a", 1).random() != second.stream("a", 1).random()
    assert second.repetitions(5, 9) == 4 * first.repetitions(5, 9) == 20
    assert second.pick(5, 9) == 5
    assert not set(first.seeds(5, 9)) & set(second.seeds(5, 9))
    assert len(second.seeds(5, 9)) == 20
