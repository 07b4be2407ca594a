"""Draws whose trainer fails: none is dropped, none makes a verdict stronger, and none stops a run late."""

from __future__ import annotations

import numpy as np
import pytest

import controls as ct
from controls.core.result import ClaimVerdict, Verdict
from controls.core.rng import stream
from controls.runner.evaluate import Evaluator
from controls.runner.expected import Refits
from controls.runner.prepare import prepare

SHUFFLE = ct.ShuffleLabels()
X = stream(0, "failed draws").normal(size=(80, 3))
Y = (X[:, 0] + stream(1, "failed draws").normal(size=80) > 0).astype(int)


class Picky:
    """Least squares that fails on some labels, as which the observed ones never count."""

    def __init__(self, dislikes):
        self.dislikes = dislikes

    def __call__(self, rows, labels):
        at = np.array([np.flatnonzero((row == X).all(axis=1))[0] for row in rows])
        if not (labels == Y[at]).all() and self.dislikes(labels[at < 16]):
            raise RuntimeError("such labels are not liked")
        w = np.linalg.lstsq(rows - rows.mean(axis=0), labels - labels.mean(), rcond=None)[0]
        return lambda given: ((given - rows.mean(axis=0)) @ w > 0).astype(int)


def high(labels):
    return labels.mean() > 0.55


def study(trainer, **settings):
    problem = ct.Problem(X, Y)
    return ct.measure(trainer, problem, controls=[SHUFFLE], cv=3, **{"draws": 39, "key": "picky", **settings})


def test_draws_that_failed_speak_for_no_equivalence_and_against_no_claim():
    whole, broken = study(Picky(lambda labels: False), smallest_effect=0.9), study(Picky(high), smallest_effect=0.9)
    assert (whole["ShuffleLabels"].verdict, whole.verdict) == (Verdict.NEGLIGIBLE, ClaimVerdict.FAILS)
    found = broken["ShuffleLabels"]
    missing = np.isnan(found.control_scores).mean()
    assert missing > 0.05
    assert (found.verdict, broken.verdict) == (Verdict.INCONCLUSIVE, ClaimVerdict.UNDECIDED)
    assert found.reason == f"{100 * missing:.3g}% of the draws have no score, which is more than alpha 0.05 lets pass"
    assert any("mean and interval are those of the others" in caveat for caveat in found.caveats)


def test_refits_leave_out_the_draws_that_fail_without_some_group():
    found = study(Picky(lambda labels: labels.mean() > 0.7), target="expected")["ShuffleLabels"]
    assert 0 < len(found.failures) < 39
    assert found.selectivity.standard_error > 0


def test_refits_compare_groups_on_the_same_draws():
    evaluator: Evaluator = prepare(ct.Study(ct.probes.RidgeProbe(), [SHUFFLE]), ct.Problem(X, Y)).evaluator
    refits = Refits(evaluator, [np.zeros((80, 1)), np.zeros((80, 3))])
    scores = np.array([[0.5, 0.1, 0.9, 0.3], [0.7, 0.2, np.nan, 0.5]])
    np.testing.assert_allclose(refits.means(scores), [[0.5, 0.2], [0.7, 0.35]])


def test_a_run_given_up_for_its_failures_is_given_up_again_from_its_store(tmp_path):
    for draws in (20, 20, 60):
        with pytest.raises(ct.TrainerError, match="each of the first 20 draws of ShuffleLabels, twice"):
            study(Picky(lambda labels: True), draws=draws, store=tmp_path / "run.db")
    mended = study(Picky(lambda labels: False), draws=20, store=tmp_path / "run.db")
    assert len(mended["ShuffleLabels"].failures) == 19
