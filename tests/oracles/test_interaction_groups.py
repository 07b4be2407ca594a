"""interaction_test with groups: the level on clustered rows, against brute force over all exchanges."""

from itertools import permutations

import numpy as np
import pytest
from scipy.stats import binomtest

import controls as ct
from controls.core.products import centred_product
from controls.stats.interaction import interaction_test
from controls.stats.rearranged import rearranged


def clustered(rng, shared, n_documents=30, size=10, d=6):
    """Documents with effects of their own, and slopes of their own on the second concept; no interaction."""
    document = np.repeat(np.arange(n_documents), size)
    n = len(document)
    a = rng.integers(2, size=n_documents)[document] if shared else rng.integers(2, size=n)
    b = rng.integers(2, size=n)
    own, slope = rng.standard_normal((2, n_documents, d))
    H = rng.standard_normal((n, d)) + a[:, None] + own[document] + (slope[document] + 1) * b[:, None]
    return H, np.stack([a, b], axis=1).astype(float), document


@pytest.mark.parametrize("shared", [False, True])
def test_the_level_is_kept_on_clustered_rows(shared):
    rejected = np.zeros(2)
    for repetition in range(200):
        rng = np.random.default_rng(repetition)
        H, concepts, document = clustered(rng, shared)
        for place, groups in enumerate((None, document)):
            rejected[place] += interaction_test(H, concepts, groups=groups, draws=39, rng=rng).p_value <= 0.05
    assert binomtest(int(rejected[1]), 200, 0.05, alternative="greater").pvalue > 0.001
    if shared:  # rows traded freely give far too many false alarms
        assert binomtest(int(rejected[0]), 200, 0.2, alternative="greater").pvalue < 0.001


def test_power_and_adjusted_effect_stay_with_groups():
    rng = np.random.default_rng(1)
    H, concepts, document = clustered(rng, shared=True)
    H[:, 0] += 3 * centred_product(concepts) * 4
    found = interaction_test(H, concepts, groups=document, draws=99, rng=rng)
    assert found.p_value == 0.01
    assert 0 < found.adjusted < found.r2


def test_groups_trade_what_they_share_and_rows_keep_the_rest():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(4), 3)
    a, b = np.array([0.0, 1.0, 2.0, 5.0]), rng.standard_normal(12)
    found = rearranged(np.stack([a[groups], b], axis=1)[None], groups, 3000, rng)[0]
    centred = a - a.mean()
    every = {tuple(np.round(centred[list(order)][groups] * (b - b.mean()), 9)) for order in permutations(range(4))}
    seen, counts = np.unique(np.round(found, 9), axis=0, return_counts=True)
    assert {tuple(row) for row in seen} == every
    assert ((counts - 125) ** 2 / 125).sum() < 50  # chi-squared, 23 degrees of freedom: p = .001 at 49.7


def test_rows_trade_within_their_group():
    rng = np.random.default_rng(0)
    groups = np.array([0, 1, 0, 1, 0])
    concepts = rng.standard_normal((1, 5, 2))
    t = centred_product(concepts)[0]
    found = rearranged(concepts, groups, 1200, rng)[0]
    assert {tuple(sorted(row[groups == 0])) for row in found} == {tuple(sorted(t[groups == 0]))}
    assert len(np.unique(found, axis=0)) == 12
    counts = np.unique(found, axis=0, return_counts=True)[1]
    assert ((counts - 100) ** 2 / 100).sum() < 31.3  # 11 degrees of freedom


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        (np.zeros(40, int), "at least 3"),
        (np.arange(39), "groups must"),
    ],
)
def test_groups_that_leave_nothing_are_refused(groups, words):
    rng = np.random.default_rng(0)
    b = rng.integers(2, size=(40, 2)).astype(float)
    b[:, 0] = 1.0 if len(np.unique(groups)) == 1 else b[:, 0]
    with pytest.raises(ct.ControlsError, match=words):
        interaction_test(rng.standard_normal((40, 3)), b, groups=groups, rng=rng)


def test_labels_of_a_concept_that_whole_documents_have_are_not_exact():
    rng = np.random.default_rng(0)
    H, concepts, document = clustered(rng, shared=True)
    groups = {"document": document, "a": concepts[:, 0], "b": concepts[:, 1]}
    problem = ct.Problem(H, groups=groups, unit="document")
    both = ct.InteractionLabels(("a", "b"), balance=True)(problem)
    result = ct.measure(ct.probes.RidgeProbe(), both, controls=[ct.ShuffleLabels()], scoring="r2", draws=39)
    assert result["ShuffleLabels"].inference == "ensemble"
    assert any("a is constant within document" in words for words in result["ShuffleLabels"].caveats)
