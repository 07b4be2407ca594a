"""interaction_test with groups: the level on clustered rows, against brute force over all exchanges."""

from itertools import permutations, product

import numpy as np
import pytest
from scipy.stats import binomtest

import controls as ct
from controls.core.products import centred_product
from controls.stats.interaction import interaction_test
from controls.stats.rearranged import rearranged


def clustered(rng, held, n_documents=30, size=10, d=6):
    """Documents with effects of their own, and slopes of their own on the second concept; no interaction.

    What whole documents have: "both" concepts, "one", base "rates" of each, or "none".
    """
    sizes = rng.integers(size // 2, 2 * size, size=n_documents)
    document = np.repeat(np.arange(n_documents), sizes)
    rates = rng.beta(0.3, 0.3, size=(2, n_documents)) if held == "rates" else np.full((2, n_documents), 0.5)
    concepts = rng.random((2, len(document))) < rates[:, document]
    for which in {"both": (0, 1), "one": (0,)}.get(held, ()):
        concepts[which] = rng.integers(2, size=n_documents)[document]
    a, b = concepts.astype(float)
    own, slope = rng.standard_normal((2, n_documents, d))
    slope *= held != "both"  # an effect of b that documents have beside their own cannot be told from it
    H = rng.standard_normal((len(document), d)) + a[:, None] + own[document] + (slope[document] + 1) * b[:, None]
    return H, np.stack([a, b], axis=1), document


@pytest.mark.parametrize("held", ["both", "one", "rates", "none"])
def test_the_level_is_kept_on_clustered_rows(held):
    rejected = np.zeros(2)
    for repetition in range(200):
        rng = np.random.default_rng(repetition)
        H, concepts, document = clustered(rng, held)
        for place, groups in enumerate((None, document)):
            rejected[place] += interaction_test(H, concepts, groups=groups, draws=39, rng=rng).p_value <= 0.05
    assert binomtest(int(rejected[1]), 200, 0.05, alternative="greater").pvalue > 0.001
    if held != "none":  # rows traded freely give far too many false alarms
        assert binomtest(int(rejected[0]), 200, 0.2, alternative="greater").pvalue < 0.001


@pytest.mark.parametrize("held", ["both", "one", "rates", "none"])
def test_power_and_adjusted_effect_stay_with_groups(held):
    rng = np.random.default_rng(1)
    H, concepts, document = clustered(rng, held)
    H[:, 0] += 3 * centred_product(concepts) * 4
    found = interaction_test(H, concepts, groups=document, draws=99, rng=rng)
    assert found.p_value == 0.01
    assert 0 < found.adjusted < found.r2


def test_groups_trade_what_they_share_and_rows_keep_the_rest():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(4), 3)
    a, b = np.array([0.0, 1.0, 2.0, 5.0]), rng.standard_normal(12)
    found = rearranged(np.stack([a[groups], b], axis=1)[None], np.zeros((1, 12)), groups, 3000, rng)[0]
    centred = a - a.mean()
    every = {tuple(np.round(centred[list(order)][groups] * (b - b.mean()), 9)) for order in permutations(range(4))}
    seen, counts = np.unique(np.round(found, 9), axis=0, return_counts=True)
    assert {tuple(row) for row in seen} == every
    assert ((counts - 125) ** 2 / 125).sum() < 50  # chi-squared, 23 degrees of freedom: p = .001 at 49.7


def test_signs_change_in_whole_groups_where_no_concept_is_constant():
    rng = np.random.default_rng(0)
    groups = np.array([0, 1, 0, 1, 2, 2])
    concepts, left = rng.standard_normal((1, 6, 2)), rng.standard_normal((1, 6))
    found = rearranged(concepts, left, groups, 1600, rng)[0]
    every = {tuple((np.array(signs)[groups] * left[0]).tolist()) for signs in product((-1, 1), repeat=3)}
    seen, counts = np.unique(found, axis=0, return_counts=True)
    assert {tuple(row) for row in seen.tolist()} == every
    assert ((counts - 200) ** 2 / 200).sum() < 24.3  # chi-squared, 7 degrees of freedom: p = .001


def test_a_batch_with_groups_is_its_tests_one_by_one():
    rng = np.random.default_rng(0)
    _, _, document = clustered(rng, "none", n_documents=8)
    one = rng.integers(2, size=8)[document]
    concepts = np.stack([rng.integers(2, size=(len(document), 2)), np.stack([one, rng.permutation(one)], axis=1)] * 2)
    H = rng.standard_normal((4, len(document), 3)) + concepts[..., :1]
    whole = interaction_test(H, concepts, groups=document, draws=19, rng=np.random.default_rng(5))
    one_by_one = np.random.default_rng(5)
    for p in range(4):
        alone = interaction_test(H[p], concepts[p], groups=document, draws=19, rng=one_by_one)
        assert np.asarray(whole.p_value)[p] == alone.p_value
        assert np.asarray(whole.adjusted)[p] == pytest.approx(alone.adjusted, abs=1e-12)


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        (np.zeros(40, int), "at least 3"),
        (np.arange(40) % 5, "at least 6 where no concept is constant within them, got 5"),
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
    H, concepts, document = clustered(rng, "one")
    groups = {"document": document, "a": concepts[:, 0], "b": concepts[:, 1]}
    problem = ct.Problem(H, groups=groups, unit="document")
    both = ct.InteractionLabels(("a", "b"), balance=True)(problem)
    result = ct.measure(ct.probes.RidgeProbe(), both, controls=[ct.ShuffleLabels()], scoring="r2", draws=39)
    assert result["ShuffleLabels"].inference == "ensemble"
    assert any("a is constant within document" in words for words in result["ShuffleLabels"].caveats)


def test_labels_of_concepts_that_documents_have_are_traded_by_whole_documents():
    rng, document = np.random.default_rng(3), np.repeat(np.arange(40), 8)
    H = rng.standard_normal((40, 6))[document] + rng.standard_normal((len(document), 6))
    problem = ct.Problem(H, groups={"document": document}, unit="document")
    both = ct.InteractionLabels((document % 2, document // 2 % 5 < 2))(problem)
    assert len(np.unique(both.labels)) == 4  # the same in all rows of a combination, to the last bit
    battery = [ct.ShuffleLabels(), ct.ShuffleLabels(whole="document")]
    result = ct.measure(ct.probes.RidgeProbe(), both, controls=battery, scoring="r2", draws=39)
    rows, whole = result.comparisons
    assert rows.inference == "ensemble"
    assert any("labels cluster by document" in words for words in rows.caveats)
    assert whole.inference == "exact"
    assert not whole.caveats
