"""A small calibration for every change: gross failures of size and coverage, and that planted faults are seen.

The full one is ``controls calibrate``. Seeds are fixed; a cell fails at level .001.
"""

import pytest

from controls.testing.calibrate.counts import Cell
from controls.testing.calibrate.coverage import FITTED, TOKENS, one
from controls.testing.calibrate.pitfalls import PITFALLS
from controls.testing.calibrate.run import coverage_cell, pitfall_cells, token_cell

LEVEL = 0.001
BY_NAME = {pitfall.name: pitfall for pitfall in PITFALLS}


@pytest.mark.parametrize(
    ("name", "repetitions"),
    [("document-level labels", 200), ("a base rate per document", 60), ("best of 12 layers", 50)],
)
def test_false_alarms_keep_the_level_where_common_practice_does_not(name, repetitions):
    naive, ours = pitfall_cells(BY_NAME[name], repetitions, jobs=1)
    assert Cell("", name, ours.count, repetitions, 0.05, "at most").passed(LEVEL), ours.measured
    assert naive.kind == "above"
    assert naive.passed(LEVEL), naive.measured


def test_with_six_documents_no_p_is_below_its_floor_and_refusing_the_identity_is_seen():
    refusing, ours = pitfall_cells(BY_NAME["six documents, 3 against 3, alpha .01"], 200, jobs=1)
    assert ours.count == 0  # the floor is .05
    assert refusing.passed(LEVEL), refusing.measured  # above .01
    assert Cell("", "", refusing.count, 200, 0.05, "equal").passed(LEVEL), refusing.measured


@pytest.mark.parametrize("setting", [s for s in FITTED if (s.n_documents, s.d) == (30, 10)], ids=lambda s: s.metric)
def test_intervals_hold_the_truth(setting):
    size = setting.world.mean_size()
    cell = coverage_cell(setting, [one(setting, size, seed) for seed in range(120)])
    assert cell.rate == 0.93
    assert cell.passed(LEVEL), cell.measured


def test_a_percentile_bootstrap_of_rows_is_seen_to_miss():
    cell = token_cell(100, jobs=1)
    assert cell.kind == "above"
    assert cell.passed(LEVEL), cell.measured
    found = coverage_cell(TOKENS, [one(TOKENS, TOKENS.world.mean_size(), seed) for seed in range(100)])
    assert found.passed(LEVEL), found.measured


def test_a_cell_can_fail():
    assert not Cell("", "", 30, 200, 0.05, "at most").passed(LEVEL)
    assert not Cell("", "", 90, 120, 0.93, "at least").passed(LEVEL)
    assert not Cell("", "", 10, 200, 0.05, "above").passed(LEVEL)
    assert not Cell("", "", 0, 200, 0.05, "equal").passed(LEVEL)
    assert Cell("", "", 10, 200, 0.05, "at most").passed(LEVEL)
