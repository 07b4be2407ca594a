"""Circular shifts: turns by brute force, false alarms where the null holds, and drift that breaks it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import controls as ct
from controls.core.rng import stream
from controls.core.sequence_properties import Turns
from controls.core.sequences import CyclicOrbit


def problem(labels, unit=None, **groups):
    return ct.Problem(np.zeros((len(labels), 1)), labels, groups=groups, unit=unit)


@pytest.mark.parametrize("text", ["a", "aa", "ab", "abab", "aab", "abaaba", "aaaaab"])
def test_turns_of_one_sequence_by_brute_force(text):
    labels = np.array(list(text))
    orbit = CyclicOrbit(labels, np.zeros(len(labels), dtype=int))
    turns = {"".join(np.roll(labels, k)) for k in range(len(labels))}
    listed = ["".join(each) for each in orbit.enumerate()]
    assert listed[0] == text
    assert sorted(listed) == sorted(turns)
    assert orbit.log_count == pytest.approx(np.log(len(turns)))


def test_groups_turn_by_themselves_wherever_their_rows_are():
    document = np.array([1, 0, 1, 0, 0, 1, 2])
    labels = np.array(list("abcdefg"))
    orbit = CyclicOrbit(labels, document)
    listed = {"".join(each) for each in orbit.enumerate()}
    assert len(listed) == 9
    assert all("".join(labels[orbit.order(stream(0, i))]) in listed for i in range(30))
    for each in listed:
        rows = "".join(np.array(list(each))[document == 1])
        assert rows in ("acf", "cfa", "fac")
        assert each[6] == "g"


def test_turns_know_a_turn_from_another_order():
    given = problem(list("aabbcc"), d=[0, 0, 0, 1, 1, 1])
    assert Turns("d").holds(given, given.with_labels(np.array(list("abaccb"))))
    assert Turns("d").holds(given, given.with_labels(np.array(list("baaccb"))))
    assert not Turns("d").holds(given, given.with_labels(np.array(list("aacbbc"))))
    assert not Turns().holds(problem(list("abcd")), problem(list("acbd")))
    assert Turns().holds(problem(list("abcd")), problem(list("cdab")))


def circle(rng, groups, length):
    """Sequences whose ends join: white noise smoothed round a circle."""
    noise = np.fft.rfft(rng.normal(size=(groups, length)), axis=1)
    return np.fft.irfft(noise * np.exp(-np.arange(noise.shape[1]) / 2), n=length, axis=1).ravel()


def walk(rng, groups, length):
    return rng.normal(size=(groups, length)).cumsum(axis=1).ravel()


def false_alarms(signal, groups, length, repeats):
    """Count p <= .05 for labels and activations that have nothing to do with one another."""
    document, count, flagged = np.repeat(np.arange(groups), length), 0, 0
    for i in range(repeats):
        rng = stream(i, signal.__name__)
        x, y = signal(rng, groups, length), signal(rng, groups, length)
        x -= (np.bincount(document, x) / length)[document]
        given = problem(y > 0, d=document, unit="d")
        control = ct.ShiftLabels(within="d")
        orbit = control.orbit(given)
        drawn = np.abs([x @ orbit.draw(rng) for _ in range(19)])
        count += (1 + (drawn >= abs(x @ given.labels) - 1e-9).sum()) / 20 <= 0.05
        flagged += i < 25 and bool(control.caveats(given, rng))
    return count, flagged


def test_false_alarms_are_at_their_level_where_ends_join():
    count, flagged = false_alarms(circle, 6, 30, 500)
    assert stats.binomtest(count, 500, 0.05).pvalue > 1e-3
    assert stats.binomtest(flagged, 25, 0.01, alternative="greater").pvalue > 1e-3


def test_drift_gives_false_alarms_and_is_seen():
    count, flagged = false_alarms(walk, 30, 60, 200)
    assert stats.binomtest(count, 200, 0.05, alternative="greater").pvalue < 1e-3
    assert flagged > 12


def test_a_common_drift_withdraws_exactness_and_names_the_remedy():
    rng = stream(0, "drift")
    place = np.tile(np.linspace(0, 1, 20), 30)
    X, y = place[:, None] + rng.normal(size=(600, 2)), rng.random(600) < place
    given = ct.Problem(X, y, groups={"document": np.repeat(np.arange(30), 20)}, unit="document")
    result = ct.measure(ct.probes.RidgeProbe(), given, controls=[ct.ShiftLabels(within="document")], draws=19)
    (found,) = result.comparisons
    assert found.inference == "ensemble"
    assert "labels drift from the start to the end of each document" in found.caveats[0]
    assert 'ShuffleLabels(whole="document", blocks=True)' in found.caveats[0]


def test_a_shift_over_documents_that_hold_their_own_labels_is_told_of_them():
    rng = stream(0, "cluster")
    document = np.repeat(np.arange(40), rng.integers(1, 20, size=40))[:400]
    document = np.concatenate([document, np.full(400 - len(document), 40)])
    given = problem(rng.random(400) < rng.random(41)[document], unit="d", d=document)
    assert any('ShiftLabels(within="d") keeps that' in said for said in ct.ShiftLabels().caveats(given, rng))


def test_the_floor_of_p_is_that_of_the_turns():
    given = ct.Problem(stream(0).normal(size=(12, 1)), [0, 0, 1] * 4)
    planned = ct.plan(ct.probes.RidgeProbe(), given, controls=[ct.ShiftLabels()], cv=2).controls[0]
    assert (planned.enumerated, planned.draws, planned.p_floor) == (True, 3, pytest.approx(1 / 3))


@pytest.mark.parametrize("labels", [[1, 1, 1, 1], [0, 0, 1, 1]])
def test_sequences_that_no_turn_changes_are_refused(labels):
    given = problem(labels, d=[0, 0, 1, 1])
    with pytest.raises(ct.CannotControl, match="no turn of each d changes a label"):
        ct.ShiftLabels(within="d").check(given)


def test_sequences_of_one_row_stay_where_they_are():
    given = problem([0, 1, 0, 1], d=[0, 1, 2, 2])
    assert ct.ShiftLabels(within="d").orbit(given).log_count == pytest.approx(np.log(2))
    assert (ct.ShiftLabels(within="d").draw(given, stream(0)).labels[:2] == [0, 1]).all()
