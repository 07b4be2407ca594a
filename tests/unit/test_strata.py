"""Shuffles given nuisance columns: bins, strata, counts in closed form, false alarms, and what bins leave."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import controls as ct
from controls.core.exchangeability import Within
from controls.core.rng import stream
from controls.core.strata import Given, bin_codes


def problem(labels, unit=None, **groups):
    return ct.Problem(np.zeros((len(labels), 1)), labels, groups=groups, unit=unit)


# -- bins -----------------------------------------------------------------------------------------


def test_bins_of_distinct_numbers_are_those_of_pandas():
    numbers = stream(0, "bins").normal(size=103)
    for bins in (2, 7, 10):
        np.testing.assert_array_equal(bin_codes(numbers, bins), pd.qcut(numbers, bins, labels=False))
    np.testing.assert_array_equal(bin_codes(numbers, None), bin_codes(numbers, 10))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-4, 9), min_size=1, max_size=40), st.integers(2, 8))
def test_bins_keep_order_and_never_part_equal_values(values, bins):
    codes = bin_codes(np.array(values), bins)
    order = np.argsort(values, kind="stable")
    assert (np.diff(codes[order]) >= 0).all()
    assert len(np.unique(codes)) <= max(bins, len(set(values)) if len(set(values)) <= bins else bins)
    for value in set(values):
        assert len(set(codes[np.array(values) == value])) == 1
    assert set(codes) == set(range(len(set(codes))))


def test_whole_numbers_and_texts_are_names_unless_bins_are_asked_for():
    ids = np.arange(40) % 20
    assert len(np.unique(bin_codes(ids, None))) == 20
    assert len(np.unique(bin_codes(ids, 4))) == 4
    assert len(np.unique(bin_codes(ids.astype(str), 4))) == 20
    assert len(np.unique(bin_codes(ids.astype(float), None))) == 10
    assert len(np.unique(bin_codes(ids > 3, 2))) == 2


def test_strata_by_hand():
    rows = problem([0, 1] * 4, d=list("xxxxyyyy"), word=list("aabbaabb"), at=np.array([0.0, 9, 1, 8, 0, 9, 1, 8]))
    assert Given(("word",), "d").strata(rows).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert Given(("at",), None, 2).strata(rows).tolist() == [0, 1, 0, 1, 0, 1, 0, 1]
    assert len(np.unique(Given(("at", "word"), "d", 2).strata(rows))) == 8


# -- the control ----------------------------------------------------------------------------------


def test_relabelings_are_counted_in_closed_form_and_stay_in_their_strata():
    rng = stream(0, "count")
    word, at, labels = rng.integers(4, size=90), rng.random(90), rng.integers(3, size=90)
    names = np.array(list("abcd"))[word]
    control = ct.ShuffleLabels(given=("word", "at"), bins=3)
    rows = problem(labels, word=names, at=at)
    third = pd.qcut(at, 3, labels=False)
    expected = 0.0
    for w in range(4):
        for t in range(3):
            counts = np.bincount(labels[(word == w) & (third == t)])
            expected += math.lgamma(counts.sum() + 1) - sum(math.lgamma(c + 1) for c in counts)
    assert control.orbit(rows).log_count == pytest.approx(expected)
    drawn = control.draw(rows, stream(0, "draw")).labels
    before, after = (pd.crosstab([word, third], part) for part in (labels, drawn))
    pd.testing.assert_frame_equal(before, after)
    assert not np.array_equal(drawn, labels)


def test_columns_that_are_groups_already_give_the_same_orbit_as_within():
    rng = stream(0, "same")
    rows = problem(rng.integers(2, size=60), word=rng.integers(9, size=60))
    one, other = ct.ShuffleLabels(given="word"), ct.ShuffleLabels(within="word")
    assert one.orbit(rows).log_count == other.orbit(rows).log_count
    np.testing.assert_array_equal(one.order(rows, stream(0)), other.order(rows, stream(0)))


def false_alarms(control, repeats=400):
    """Labels and activations both follow the position, which is drawn anew, and nothing else joins them."""
    count = 0
    for i in range(repeats):
        rng = stream(i, "nuisance")
        at = rng.integers(8, size=120)
        x, y = at + rng.normal(size=120), rng.random(120) < at / 8
        rows = problem(y, at=at)
        orbit = control.orbit(rows)
        drawn = np.array([x @ orbit.draw(rng) for _ in range(19)])
        count += (1 + (drawn >= x @ y - 1e-9).sum()) / 20 <= 0.05
    return count, repeats


def test_false_alarms_of_a_nuisance_are_at_their_level_given_it():
    assert stats.binomtest(*false_alarms(ct.ShuffleLabels(given="at")), 0.05).pvalue > 1e-3
    count, repeats = false_alarms(ct.ShuffleLabels(), 40)
    assert count == repeats  # and all of them where it is not held fixed


def test_bins_too_wide_for_their_column_withdraw_exactness():
    rng = stream(0, "trend")
    at = rng.random(400)
    y = rng.random(400) < at
    X = rng.normal(size=(400, 2))
    rows = ct.Problem(X, y, groups={"at": at})
    settings = {"scoring": "roc_auc", "draws": 19}
    wide = ct.measure(ct.probes.RidgeProbe(), rows, controls=[ct.ShuffleLabels(given="at", bins=2)], **settings)
    fine = ct.measure(ct.probes.RidgeProbe(), rows, controls=[ct.ShuffleLabels(given="at", bins=20)], **settings)
    assert wide.comparisons[0].inference == "ensemble"
    assert "labels go with at inside its bins" in wide.comparisons[0].caveats[0]
    assert fine.comparisons[0].inference == "exact"
    assert fine.comparisons[0].integrity == {"rows whose label can move": 1.0}


def test_the_look_inside_bins_is_right_where_there_is_nothing():
    control, flagged = ct.ShuffleLabels(given=("at", "length"), bins=3), 0
    for i in range(150):
        rng = stream(i, "nothing")
        rows = problem(rng.integers(3, size=60), at=rng.random(60), length=rng.integers(30, size=60))
        flagged += bool(control.caveats(rows, rng))
    assert stats.binomtest(flagged, 150, 0.01, alternative="greater").pvalue > 1e-3


def test_rows_that_can_move_are_counted():
    rows = problem([0, 1, 0, 0, 1, 1], word=list("aabbcd"))
    everything = np.arange(6)
    assert ct.ShuffleLabels(given="word").integrity(rows, everything, everything) == {
        "rows whose label can move": pytest.approx(2 / 6)
    }


def test_it_says_what_is_held_fixed():
    control = ct.ShuffleLabels(within="document", given=["token", "position"])
    assert control == ct.ShuffleLabels(within="document", given=("token", "position"))
    assert "agree in token and position" in control.null
    assert "beyond what the document and token and position tells, as far as its bins are fine" in control.licenses
    both = ct.compose(control, ct.ShuffleLabels(within="document"))
    assert both.inference == "exact"
    assert Within("document").contains(control.restriction)
    assert ct.compose(control, ct.ShuffleLabels(within="word")).inference == "ensemble"


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: ct.ShuffleLabels(bins=4), "bins= cuts the columns of given="),
        (lambda: ct.ShuffleLabels(given="a", bins=1), "bins must be at least 2"),
        (lambda: ct.ShuffleLabels(given="a", whole="d"), "goes with within= alone"),
        (lambda: ct.ShuffleLabels(given="a", within="a"), "must be different groups"),
        (lambda: ct.ShuffleLabels(given=()), "given must be the name of a group column"),
        (lambda: ct.ShuffleLabels(given=3), "given must be the name of a group column"),
        (lambda: ct.ShuffleLabels(given=("a", "a")), "must name different columns"),
    ],
)
def test_parameters_refused(build, words):
    with pytest.raises(ct.InputError, match=words):
        build()


def test_problems_refused():
    with pytest.raises(ct.CannotControl, match="can only draw the identity"):
        ct.ShuffleLabels(given="word").check(problem([0, 0, 1], word=list("aab")))
    with pytest.raises(ct.InputError, match=r"group 'wrd' is not known.*Did you mean 'word'"):
        ct.ShuffleLabels(given="wrd").check(problem([0, 0, 1], word=list("aab")))
    with pytest.raises(ct.InputError, match=r"groups\['at'\] must be finite, got 1 NaN"):
        problem([0, 1, 1], at=[0.5, np.nan, 1.0])
