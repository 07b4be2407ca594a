"""A small calibration for every change: gross failures of size and coverage, and that planted faults are seen.

The whole one is ``controls calibrate``. Seeds are fixed; a check fails at level .001.
"""

import pytest

from controls.testing.suite.case import Coverage, Rejections, Seen
from controls.testing.suite.coverage import FITTED, TOKENS, fitted, one, token_one
from controls.testing.suite.pitfalls import PITFALLS

LEVEL = 0.001
BY_NAME = {pitfall.name: pitfall for pitfall in PITFALLS}


def counted(name, repetitions):
    """Return the false alarms of the naive practice and of ours."""
    p = [BY_NAME[name].run(seed) for seed in range(repetitions)]
    return [sum(each[side] <= BY_NAME[name].alpha + 1e-12 for each in p) for side in (0, 1)]


@pytest.mark.parametrize(
    ("name", "repetitions"),
    [("document-level labels", 200), ("a base rate per document", 60), ("best of 12 layers", 50)],
)
def test_false_alarms_keep_the_level_where_common_practice_does_not(name, repetitions):
    naive, ours = counted(name, repetitions)
    assert Rejections("", ours, repetitions).passed(LEVEL), ours
    assert Seen("", naive, repetitions).passed(LEVEL), naive


def test_with_six_documents_no_p_is_below_its_floor_and_refusing_the_identity_is_seen():
    refusing, ours = counted("six documents, 3 against 3, alpha .01", 200)
    assert ours == 0  # the floor is .05
    assert Seen("", refusing, 200, rate=0.01).passed(LEVEL), refusing
    assert Rejections("", refusing, 200, met=True).passed(LEVEL), refusing


@pytest.mark.parametrize("setting", [s for s in FITTED if (s.n_documents, s.d) == (30, 10)], ids=lambda s: s.metric)
def test_intervals_hold_the_truth(setting):
    check = fitted(setting, [one(setting, setting.mean_size, seed) for seed in range(120)])
    assert check.rate == 0.93
    assert check.passed(LEVEL), check


def test_a_percentile_bootstrap_of_rows_is_seen_to_miss():
    size = TOKENS.mean_size
    missed = sum(not token_one(TOKENS, size, seed) for seed in range(100))
    assert Seen("", missed, 100, rate=0.07).passed(LEVEL), missed
    found = fitted(TOKENS, [one(TOKENS, size, seed) for seed in range(100)])
    assert found.passed(LEVEL), found


def test_a_check_can_fail():
    assert not Rejections("", 30, 200).passed(LEVEL)
    assert not Coverage("", 90, 120, rate=0.93).passed(LEVEL)
    assert not Seen("", 10, 200).passed(LEVEL)
    assert not Rejections("", 0, 200, met=True).passed(LEVEL)
    assert Rejections("", 10, 200).passed(LEVEL)
