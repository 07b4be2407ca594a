"""A small calibration for every change: false alarms, coverage, and planted faults that must be seen.

The whole one is ``controls calibrate``; other themes try their own short form in the tests beside their worlds.
Seeds are fixed; a check fails at level .001.
"""

import pytest

from controls.testing.calibrate.outcome import attempt
from controls.testing.suite.case import Effort, Rejections, Seen
from controls.testing.suite.cases import chosen
from controls.testing.suite.coverage import FITTED, fitted, one
from controls.testing.suite.pitfalls import PITFALLS

LEVEL = 0.001
BY_NAME = {pitfall.name: pitfall for pitfall in PITFALLS}
CASES = ["faults", "document-level labels", "a base rate per document"]


@pytest.mark.parametrize(("theme", "case"), chosen(CASES), ids=lambda each: each.name)
def test_the_short_form_passes(theme, case):
    outcome = attempt(theme, case, Effort(short=True))
    assert not outcome.details
    assert [check for check in outcome.checks if not check.passed(LEVEL)] == []


def counted(name, repetitions):
    """Return the false alarms of the naive practice and of ours."""
    p = [BY_NAME[name].run(seed) for seed in range(repetitions)]
    return [sum(each[side] <= BY_NAME[name].alpha + 1e-12 for each in p) for side in (0, 1)]


def test_the_best_of_12_layers_keeps_its_level_by_max_t_alone():
    naive, ours = counted("best of 12 layers", 50)
    assert Rejections("", ours, 50).passed(LEVEL), ours
    assert Seen("", naive, 50).passed(LEVEL), naive


def test_with_six_documents_no_p_is_below_its_floor_and_refusing_the_identity_is_seen():
    refusing, ours = counted("six documents, 3 against 3, alpha .01", 200)
    assert ours == 0  # the floor is .05
    assert Seen("", refusing, 200, rate=0.01).passed(LEVEL), refusing
    assert Rejections("", refusing, 200, met=True).passed(LEVEL), refusing


@pytest.mark.parametrize("setting", [s for s in FITTED if (s.n_documents, s.d) == (30, 10)], ids=lambda s: s.metric)
def test_intervals_hold_the_truth(setting):
    check = fitted(setting, [one(setting, setting.mean_size, seed) for seed in range(100)])
    assert check.rate == 0.93
    assert check.passed(LEVEL), check
