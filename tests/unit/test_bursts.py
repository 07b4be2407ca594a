"""Rate-matched labels: arrangements of bursts by brute force, false alarms, refusals, planted faults."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import final

import numpy as np
import pytest
from scipy import stats

import controls as ct
from controls.core.control import LabelControl
from controls.core.rng import stream
from controls.core.runs import BurstOrbit, runs_of
from controls.testing import ControlsCheckError, check_control


def problem(labels, unit=None, **groups):
    return ct.Problem(np.zeros((len(labels), 1)), labels, groups=groups, unit=unit)


def mask(text):
    return np.array([letter == "1" for letter in text])


def bursts(sequence):
    return sorted(map(len, "".join("1" if fires else "0" for fires in sequence).replace("0", " ").split()))


def gaps(sequence):
    return bursts(~np.asarray(sequence))


SEQUENCES = ["0", "1", "010", "0110100", "1101", "10001011", "111", "01010", "1001100010"]


@pytest.mark.parametrize("text", SEQUENCES)
def test_placed_bursts_are_all_sequences_with_the_same_bursts(text):
    labels = mask(text)
    orbit = BurstOrbit(labels, np.zeros(len(labels), dtype=int))
    listed = {tuple(each) for each in orbit.enumerate()}
    every = {each for each in itertools.product([False, True], repeat=len(labels)) if bursts(each) == bursts(labels)}
    assert listed == every
    assert len(list(orbit.enumerate())) == len(every)
    assert orbit.log_count == pytest.approx(math.log(len(every)))
    assert tuple(next(orbit.enumerate())) == tuple(labels)


@pytest.mark.parametrize("text", [*SEQUENCES, "0110010111011000"])
def test_permuted_runs_are_all_sequences_with_the_same_runs_and_ends(text):
    labels = mask(text)
    orbit = BurstOrbit(labels, np.zeros(len(labels), dtype=int), gaps=True)

    def alike(each):
        old, new = runs_of(labels), runs_of(np.array(each))
        same_ends = (new[0], new[-1], each[0], each[-1]) == (old[0], old[-1], labels[0], labels[-1])
        return same_ends and bursts(each) == bursts(labels) and gaps(each) == gaps(labels)

    every = {each for each in itertools.product([False, True], repeat=len(labels)) if alike(each)}
    assert {tuple(each) for each in orbit.enumerate()} == every
    assert orbit.log_count == pytest.approx(math.log(len(every)))


def test_groups_keep_their_own_bursts_wherever_their_rows_are():
    rng = stream(0, "groups")
    document = rng.permutation(np.repeat(np.arange(6), 9))
    labels = np.where(rng.random(54) < 0.4, "on", "off")
    given = problem(labels, d=document)
    for gaps_kept in (False, True):
        drawn = ct.RateMatchedLabels(within="d", gaps=gaps_kept).draw(given, rng).labels
        assert drawn.dtype == labels.dtype
        for d in range(6):
            old, new = (part[document == d] == "on" for part in (labels, drawn))
            assert bursts(old) == bursts(new)
            assert not gaps_kept or gaps(old) == gaps(new)


def test_without_bursts_it_is_the_shuffle_within():
    given = problem([0, 1, 1, 0, 1, 0], d=[0, 0, 0, 1, 1, 1])
    one, other = ct.RateMatchedLabels(within="d", bursts=False), ct.ShuffleLabels(within="d")
    assert one.orbit(given).log_count == other.orbit(given).log_count
    np.testing.assert_array_equal(one.draw(given, stream(1)).labels, other.draw(given, stream(1)).labels)


SILENCES = {
    "memoryless": lambda rng: int(rng.geometric(0.15)),
    "long bursts": lambda rng: int(rng.geometric(0.1)),
    "renewal": lambda rng: int(rng.choice([1, 2, 25])),
    "uneven": lambda rng: int(rng.choice([1, 1, 1, 50])),
    "even": lambda rng: 8,
}


def firing(rng, groups, length, kind):
    """Bursts of two to four rows (or of eight) after silences of a kind, cut off at the end."""
    rows = []
    for _ in range(groups):
        row: list[int] = []
        while len(row) < length:
            burst = 8 if kind == "long bursts" else int(rng.integers(2, 5))
            row += [0] * SILENCES[kind](rng) + [1] * burst
        rows.append(row[:length])
    return np.array(rows).ravel()


def false_alarms(control, kind, repeats=400, groups=8, length=40):
    """Labels and activations that fire in bursts, independently of one another."""
    document, count = np.repeat(np.arange(groups), length), 0
    for i in range(repeats):
        rng = stream(i, "bursts", kind)
        x, y = firing(rng, groups, length, kind), firing(rng, groups, length, kind)
        orbit = control.orbit(problem(y, d=document))
        drawn = np.array([x @ orbit.draw(rng) for _ in range(19)])
        count += (1 + (drawn >= x @ y).sum()) / 20 <= 0.05
    return count, repeats


def test_false_alarms_are_at_most_their_level_where_bursts_follow_the_null():
    for control, kind in [
        (ct.RateMatchedLabels(within="d"), "memoryless"),
        (ct.RateMatchedLabels(within="d", gaps=True), "renewal"),
    ]:
        assert stats.binomtest(*false_alarms(control, kind, 250), 0.05, alternative="greater").pvalue > 1e-3


def test_a_plain_shuffle_gives_false_alarms_for_bursts():
    assert stats.binomtest(*false_alarms(ct.ShuffleLabels(within="d"), "long bursts", 200), 0.05).pvalue < 1e-3


def test_uneven_gaps_and_drift_withdraw_exactness_and_memoryless_ones_do_not():
    document, control, flagged = np.repeat(np.arange(3), 400), ct.RateMatchedLabels(within="d"), 0
    for i in range(20):
        rng = stream(i, "flag")
        flagged += bool(control.caveats(problem(firing(rng, 3, 400, "memoryless"), unit="d", d=document), rng))
    assert stats.binomtest(flagged, 20, 0.02, alternative="greater").pvalue > 1e-3
    for kind in ("uneven", "even"):
        found = control.caveats(problem(firing(rng, 3, 400, kind), unit="d", d=document), rng)
        assert any(f"gaps between bursts are more {kind} than" in said and "gaps=True keeps" in said for said in found)
    document = np.repeat(np.arange(20), 60)
    late = problem(rng.random(1200) < np.tile(np.linspace(0, 0.5, 60), 20), unit="d", d=document)
    assert any("labels drift from the start" in said for said in control.caveats(late, rng))


def test_many_documents_of_which_few_fire():
    document = np.repeat(np.arange(300), 20)
    labels = np.zeros(6000, dtype=int)
    labels[[5, 6, 7, 45, 2001]] = 1
    orbit = ct.RateMatchedLabels(within="d").orbit(problem(labels, d=document))
    assert orbit.log_count == pytest.approx(math.log(18 * 20 * 20))


@pytest.mark.parametrize(
    ("control", "labels", "kind", "words"),
    [
        (ct.RateMatchedLabels(), [0, 1, 2], ct.InputError, "must have two values for RateMatchedLabels, got 3"),
        (ct.RateMatchedLabels(), [1, 1, 1], ct.CannotControl, "nothing in the sequence of all rows can move"),
        (ct.RateMatchedLabels("d"), [1, 1, 0], ct.CannotControl, "nothing in each d can move; check the labels"),
        (ct.RateMatchedLabels(gaps=True), [0, 1, 0], ct.CannotControl, "leave out gaps=True"),
    ],
)
def test_problems_refused(control, labels, kind, words):
    with pytest.raises(kind, match=words):
        control.check(problem(labels, d=[0, 0, 1]))


def test_gaps_need_bursts():
    with pytest.raises(ct.InputError, match="gaps=True keeps the gaps between bursts and needs bursts=True"):
        ct.RateMatchedLabels(bursts=False, gaps=True)


# -- planted faults -------------------------------------------------------------------------------


@final
@dataclass(frozen=True)
class Broken(LabelControl):
    """A control with a fault, in the place of another whose claims it makes."""

    claims: LabelControl
    fault: str

    @property
    def inference(self):
        return self.claims.inference

    null = "It makes no difference."
    licenses = "It does."

    @property
    def preserves(self):
        return self.claims.preserves

    @property
    def destroys(self):
        return self.claims.destroys

    def orbit(self, given):
        return self.claims.orbit(given)

    def check(self, given):
        self.claims.check(given)

    def relabel(self, given, rng):
        if self.fault == "rows":
            return rng.permutation(given.labels)
        if self.fault == "moves":
            while np.array_equal(drawn := self.claims.relabel(given, rng), given.labels):
                pass
            return drawn
        kept = self.claims.relabel(given, rng)
        return kept if rng.random() < 0.5 else given.labels


@pytest.mark.parametrize(
    ("claims", "fault", "words"),
    [
        (ct.RateMatchedLabels(within="document"), "rows", "claims to keep how often each label occurs within each doc"),
        (ct.RateMatchedLabels(), "rows", "claims to keep how long the bursts of all rows are"),
        (ct.RateMatchedLabels(within="document"), "moves", "refuses the identity"),
        (ct.RateMatchedLabels(within="document"), "half", "claims to destroy where in each document the bursts are"),
        (
            ct.ShuffleLabels(given="word"),
            "rows",
            "how often each label occurs among the rows that agree in word",
        ),
        (ct.ShuffleLabels(given="word"), "moves", "refuses the identity"),
        (ct.ShiftLabels(), "rows", "claims to keep the label sequence of all rows, turned"),
        (ct.ShiftLabels(within="document"), "moves", "refuses the identity"),
        (ct.AttachmentTask(), "rows", "claims to keep one way to attach for all rows of a word"),
    ],
    ids=lambda value: str(value),
)
def test_planted_faults_are_found(claims, fault, words):
    with pytest.raises(ControlsCheckError, match=words):
        check_control(Broken(claims, fault), draws=100)
