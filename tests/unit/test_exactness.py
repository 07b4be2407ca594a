"""The look at whether labels contradict exchangeability: flagged where they do, seldom where they do not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import controls as ct
from controls.core.exactness import fold_trace, label_traces
from controls.core.exchangeability import Free, Whole
from controls.core.rng import stream

WITHIN = ct.ShuffleLabels(within="document")
BLOCKS = ct.ShuffleLabels(whole="document", blocks=True)
DOCUMENT = np.repeat(np.arange(12), 25)


def problem(labels, document=DOCUMENT, order=None):
    rows = np.arange(len(labels)) if order is None else order
    return ct.Problem(np.zeros((len(labels), 1)), labels[rows], groups={"document": document[rows]}, unit="document")


def autoregressive(rho, rng, kind):
    """Return labels that follow one another within each document."""
    numbers = np.empty((12, 25))
    numbers[:, 0] = rng.standard_normal(12)
    for t in range(1, 25):
        numbers[:, t] = rho * numbers[:, t - 1] + np.sqrt(1 - rho**2) * rng.standard_normal(12)
    flat = numbers.ravel()
    return {
        "numbers": flat,
        "two": flat > 0,
        "strings": np.where(flat > 0.5, "hi", np.where(flat < -0.5, "low", "mid")),
    }[kind]


@pytest.mark.parametrize("kind", ["numbers", "two", "strings"])
def test_labels_that_follow_one_another_are_flagged_and_the_remedy_is_not(kind):
    given = problem(autoregressive(0.8, stream(0, "ar", kind), kind))
    (caveat,) = WITHIN.caveats(given, stream(0, "caveats"))
    assert "labels of neighbouring rows within one document depend on each other" in caveat
    assert 'ShuffleLabels(whole="document", blocks=True)' in caveat
    assert len(ct.ShuffleLabels().caveats(given, stream(0, "caveats"))) == 2  # they cluster too
    assert BLOCKS.caveats(given, stream(0, "caveats")) == ()


def test_the_order_of_rows_within_documents_counts_and_that_of_documents_does_not():
    labels = autoregressive(0.8, stream(1, "ar"), "two")
    order = stream(1, "order").permutation(300)
    interleaved = np.argsort(np.tile(np.arange(25), 12), kind="stable")
    assert WITHIN.caveats(problem(labels, order=order), stream(1, "caveats")) == ()
    for rows in (None, interleaved):
        assert len(WITHIN.caveats(problem(labels, order=rows), stream(1, "caveats"))) == 1


def test_labels_that_alternate_are_flagged_too():
    (caveat,) = WITHIN.caveats(problem(np.arange(300) % 2), stream(2, "caveats"))
    assert "autocorrelation -" in caveat


@pytest.mark.parametrize("kind", ["numbers", "classes"])
def test_labels_that_cluster_are_flagged_under_free_exchange_only(kind):
    rng = stream(3, "cluster", kind)
    lean = rng.random(12)[DOCUMENT]
    labels = rng.random(300) < lean if kind == "classes" else rng.standard_normal(300) + 2 * lean
    caveats = ct.ShuffleLabels().caveats(problem(labels), stream(3, "caveats"))
    assert any("labels cluster by document" in caveat and 'within="document"' in caveat for caveat in caveats)
    assert WITHIN.caveats(problem(labels), stream(3, "caveats")) == ()


def test_measures_by_hand():
    given = problem(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1]))
    serial, cluster, size = label_traces(given, Free().orbit(given), stream(4), ["document"])
    # Observed: neighbours agree in 2 of 2 pairs, and all variance is between documents; both reach their most, 1.
    assert serial.excess == pytest.approx(1.0)
    assert cluster.excess == pytest.approx(1.0)
    assert size.p == 1.0
    # One arrangement in three agrees so: a two-sided p of about 2/3.
    assert stats.binomtest(round(serial.p / 2 * 200) - 1, 199, 1 / 3).pvalue > 1e-4
    alone = label_traces(given, Whole("document", blocks=True).orbit(given), stream(4), ["document"])
    assert [trace.p for trace in alone] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("unequal", [False, True])
def test_exchangeable_labels_are_flagged_no_more_often_than_stated(unequal):
    repetitions, document = 400, np.repeat(np.arange(8), [3, 9, 5, 12, 1, 7, 10, 13] if unequal else [8] * 8)
    flagged = np.zeros(2, dtype=int)
    for i in range(repetitions):
        rng = stream(6, "null", unequal, i)
        given = problem(rng.standard_normal(len(document)), document)
        serial, cluster, _ = label_traces(given, ct.ShuffleLabels().orbit(given), rng, ["document"])
        flagged += [serial.p <= 0.01, cluster.p <= 0.01]
    # Each of the two is two-sided at level .01 exactly: 199 draws, and a continuous statistic.
    for count in flagged:
        assert stats.binomtest(int(count), repetitions, 0.01, alternative="two-sided").pvalue > 1e-3


def test_without_a_unit_only_the_groups_of_the_restriction_are_looked_at():
    labels = autoregressive(0.9, stream(7, "ar"), "two")
    given = ct.Problem(np.zeros((300, 1)), labels, groups={"document": DOCUMENT})
    assert ct.ShuffleLabels().caveats(given, stream(7)) == ()
    assert len(WITHIN.caveats(given, stream(7))) == 1


def test_groups_that_hold_whole_units_are_looked_at_too():
    document = np.repeat(np.arange(40), 3)
    author, labels = document // 5, (document // 5) % 2
    given = ct.Problem(np.zeros((120, 1)), labels, groups={"document": document, "author": author}, unit="document")
    caveats = ct.ShuffleLabels(whole="document").caveats(given, stream(8))
    assert any("labels cluster by author" in caveat and 'whole="author"' in caveat for caveat in caveats)
    assert ct.ShuffleLabels(whole="author").caveats(given, stream(8)) == ()


def test_the_remedy_for_documents_that_cluster_by_author_is_one_that_works():
    document = np.repeat(np.arange(60), 3)
    author = document // 10
    lean = np.repeat([0.1, 0.9], 30)
    labels = (stream(12).random(60) < lean)[document].astype(int)
    given = ct.Problem(np.zeros((180, 1)), labels, groups={"document": document, "author": author}, unit="document")
    caveats = ct.ShuffleLabels(whole="document").caveats(given, stream(12, "caveats"))
    assert any('ShuffleLabels(whole="document", within="author")' in caveat for caveat in caveats)
    assert ct.ShuffleLabels(whole="document", within="author").caveats(given, stream(12, "caveats")) == ()


def test_signs_of_labels_that_are_not_about_zero_are_not_mistaken_for_dependence():
    labels = 1.0 + stream(13).standard_normal(300)
    assert ct.FlipSigns(per="document").caveats(problem(labels), stream(13, "caveats")) == ()
    together = np.repeat(stream(13, "signs").choice([-1.0, 1.0], size=12), 25) * labels
    (first, *_) = ct.FlipSigns().caveats(problem(together), stream(13, "caveats"))
    assert 'FlipSigns(per="document")' in first


def test_labels_that_go_with_the_size_of_documents_are_flagged():
    sizes = np.arange(2, 26)
    document, labels = np.repeat(np.arange(24), sizes), np.repeat((sizes > 13).astype(int), sizes)
    (caveat,) = ct.ShuffleLabels(whole="document").caveats(problem(labels, document), stream(9))
    assert "labels go with the size of the groups" in caveat
    mixed = np.repeat(stream(9, "mixed").permutation(np.arange(24) % 2), sizes)
    assert ct.ShuffleLabels(whole="document").caveats(problem(mixed, document), stream(9)) == ()


def test_sign_flips_of_dependent_rows_are_flagged():
    effects = stream(10).standard_normal(12)[DOCUMENT] * 2
    given = problem(effects + stream(10, "noise").standard_normal(300))
    assert ct.FlipSigns().caveats(given, stream(10, "caveats"))
    assert ct.FlipSigns(per="document").caveats(given, stream(10, "caveats")) == ()


def test_folds_made_from_the_labels_leave_a_trace_and_others_do_not():
    labels = stream(11).integers(2, size=300)
    given = problem(labels)
    orbit = Free().orbit(given)
    order = np.argsort(labels, kind="stable")
    stratified = [(np.setdiff1d(np.arange(300), order[k::5]), order[k::5]) for k in range(5)]
    plain = [(np.setdiff1d(np.arange(300), np.arange(k, 300, 5)), np.arange(k, 300, 5)) for k in range(5)]
    assert fold_trace(given, orbit, stream(11, "a"), stratified).p <= 0.01
    assert fold_trace(given, orbit, stream(11, "b"), plain).p > 0.01


def test_draws_end_early_without_changing_what_is_flagged():
    flagged = 0
    for i in range(60):
        rng = stream(12, "early", i)
        lean = rng.standard_normal(12)[DOCUMENT] * (i % 3) / 3
        given = problem(rng.standard_normal(300) + lean)
        orbit = ct.ShuffleLabels().orbit(given)
        whole = label_traces(given, orbit, stream(12, "draws", i), ["document"])
        early = label_traces(given, orbit, stream(12, "draws", i), ["document"], level=0.01)
        small = [trace.p <= 0.01 for trace in whole]
        assert [trace.p <= 0.01 for trace in early] == small
        if any(small):  # all draws were made
            assert early == whole
        flagged += any(small)
    assert 5 < flagged < 55
