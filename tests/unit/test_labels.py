"""Controls on labels: by hand examples, and laws of draws against their closed form."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import controls as ct
from controls.core.exchangeability import Free, Within
from controls.core.properties import LabelAlignment, RestrictedAlignment, SequenceAlignment
from controls.core.rng import stream
from controls.testing.problems import ugly_problems

UGLY = next(ugly_problems())


def problem(labels, unit=None, **groups):
    return ct.Problem(np.zeros((len(labels), 1)), labels, groups=groups, unit=unit)


def draws(control, given, count):
    return np.array([control.draw(given, stream(5, i)).labels for i in range(count)])


# -- control tasks --------------------------------------------------------------------------------


def test_control_task_gives_each_type_one_label_drawn_from_those_of_all_rows():
    word = np.array(list("xyxzzzyw"))
    given = problem(np.array(list("aaaaabbc")), word=word)
    drawn = draws(ct.ControlTask(per="word"), given, 3000)
    for letter in "xyzw":
        rows = drawn[:, word == letter]
        assert (rows == rows[:, :1]).all()
        counts = [(rows[:, 0] == label).sum() for label in "abc"]
        assert stats.chisquare(counts, np.array([5, 2, 1]) / 8 * 3000).pvalue > 1e-4
    both_a = ((drawn[:, 0] == "a") & (drawn[:, 1] == "a")).sum()
    assert stats.binomtest(int(both_a), 3000, (5 / 8) ** 2).pvalue > 1e-4  # types are drawn independently


def test_uniform_marginal_gives_every_class_the_same_chance():
    given = problem(np.array(list("aaaaabbc")), word=np.arange(8))
    drawn = draws(ct.ControlTask(per="word", marginal="uniform"), given, 500)
    assert stats.chisquare(np.unique(drawn, return_counts=True)[1]).pvalue > 1e-4


def test_types_of_two_groups_are_their_combinations():
    given = problem([0, 1, 0, 1, 0], word=list("xxyyx"), tag=list("nvnvn"))
    assert ct.ControlTask(per=("word", "tag")).types(given).tolist() == [0, 1, 2, 3, 0]
    assert ct.ControlTask(per=["word"]) == ct.ControlTask(per="word")


def test_context_keys_on_the_preceding_types_of_the_same_unit():
    # d: rows 0 2 3 5 read x y x y; e: rows 1 4 6 read y x y
    given = problem([0, 1] * 3 + [0], unit="doc", doc=list("deddede"), word=list("xyyxxyy"))
    one = ct.ControlTask(per="word", context=1).types(given)
    keys = [("x", None), ("y", None), ("y", "x"), ("x", "y"), ("x", "y"), ("y", "x"), ("y", "x")]
    assert [[a == b for b in keys] for a in keys] == (one[:, None] == one).tolist()
    two = ct.ControlTask(per="word", context=2).types(given)
    keys = ["x", "y", "yx", "xyx", "xy", "yxy", "yxy"]
    assert [[a == b for b in keys] for a in keys] == (two[:, None] == two).tolist()
    far = ct.ControlTask(per="word", context=9).types(given)
    assert len(set(far.tolist())) == 7  # x, xy, xyx, xyxy and y, yx, yxy


def test_corrupted_share_of_rows_leaves_its_type():
    n, share = 4000, 0.3
    given = problem(np.arange(n) % 4, word=np.zeros(n, dtype=int) + (np.arange(n) == 0))
    drawn = ct.ControlTask(per="word", corrupted=share).draw(given, stream(0, "corrupted")).labels[1:]
    common = np.bincount(drawn).max()  # the type's own label, and a quarter of the corrupted rows
    assert stats.binomtest(int(common), n - 1, 1 - share + share / 4).pvalue > 1e-4


def test_integrity_figures_by_hand():
    given = problem(np.array(list("aaab" * 2)), word=list("xyzxwxyv"))
    train, test = np.arange(4), np.arange(4, 8)  # test words w x y v: two of four were trained on
    seen = "evaluation rows whose type was seen in training"
    ceiling = "ceiling of control accuracy"
    figures = ct.ControlTask(per="word").integrity(given, train, test)
    assert figures == {seen: 0.5, ceiling: pytest.approx(0.5 + 0.5 * 6 / 8)}
    figures = ct.ControlTask(per="word", marginal="uniform", corrupted=0.2).integrity(given, train, test)
    assert figures == {seen: 0.5, ceiling: pytest.approx(0.4 + 0.6 * 0.5)}
    numbers = problem(np.arange(8.0), word=list("xyzxwxyv"))
    assert ct.ControlTask(per="word").integrity(numbers, train, test) == {seen: 0.5}


# -- resampling and signs -------------------------------------------------------------------------


def test_resampling_within_draws_from_the_same_group_with_replacement():
    document = np.array([1, 0, 1, 2, 0, 1])
    labels = np.array(list("abcdea"))
    drawn = draws(ct.ResampleLabels(within="d"), problem(labels, d=document), 4000)
    for d in range(3):
        pool, counts = np.unique(labels[document == d], return_counts=True)
        for row in np.flatnonzero(document == d):
            assert set(drawn[:, row]) == set(pool)
            seen = [(drawn[:, row] == label).sum() for label in pool]
            assert len(pool) == 1 or stats.chisquare(seen, counts / counts.sum() * 4000).pvalue > 1e-4
    rows = np.flatnonzero(document == 1)[:2]
    same = (drawn[:, rows[0]] == drawn[:, rows[1]]).mean()
    assert stats.binomtest(int(same * 4000), 4000, (2 / 3) ** 2 + (1 / 3) ** 2).pvalue > 1e-4


def test_signs_flip_together_within_a_group_and_never_become_negative_zero():
    document = np.array([1, 0, 1, 2, 0])
    labels = np.array([1.5, -2.0, -0.5, 0.0, 3.0])
    drawn = draws(ct.FlipSigns(per="d"), problem(labels, d=document), 400)
    ratio = drawn[:, [0, 2, 1, 4]] / labels[[0, 2, 1, 4]]
    np.testing.assert_array_equal(np.abs(drawn), np.tile(np.abs(labels), (400, 1)))
    assert (ratio[:, 0] == ratio[:, 1]).all()
    assert (ratio[:, 2] == ratio[:, 3]).all()
    patterns = np.unique(ratio[:, [0, 2]], axis=0, return_counts=True)[1]
    assert stats.chisquare(patterns).pvalue > 1e-4
    assert not np.signbit(drawn[:, 3]).any()


# -- composition ----------------------------------------------------------------------------------


def test_composition_is_exact_only_where_one_group_holds_all_others():
    within, free = ct.ShuffleLabels(within="document"), ct.ShuffleLabels()
    whole, task = ct.ShuffleLabels(whole="document"), ct.ControlTask(per="word")
    exact = [(within, free), (free, within), (within, within)]
    ensemble = [
        (within, whole),
        (whole, free),
        (within, task),
        (task, free),
        (free, ct.FlipSigns()),
        (ct.ResampleLabels(), free),
    ]
    assert {ct.compose(*parts).inference for parts in exact} == {"exact"}
    assert {ct.compose(*parts).inference for parts in ensemble} == {"ensemble"}
    assert ct.compose(ct.ShuffleLabels(exchangeability=Free()), within).inference == "exact"
    assert ct.compose(within, free).orbit(UGLY).log_count == free.orbit(UGLY).log_count
    assert ct.compose(within, task).orbit(UGLY) is None


def test_composition_gives_each_part_a_stream_of_its_own():
    within, free = ct.ShuffleLabels(within="document"), ct.ShuffleLabels()
    first, second = stream(1, "x").spawn(2)
    by_hand = free.draw(within.draw(UGLY, first), second)
    np.testing.assert_array_equal(ct.compose(within, free).draw(UGLY, stream(1, "x")).labels, by_hand.labels)
    twice = ct.compose(free, free, free).draw(UGLY, stream(1, "x"))
    assert not np.array_equal(twice.labels, free.draw(UGLY, stream(1, "x").spawn(1)[0]).labels)


def test_composition_says_what_every_part_keeps():
    both = ct.compose(ct.ShuffleLabels(within="document"), ct.ControlTask(per="word"))
    assert [kept.words for kept in both.preserves] == ["the activations", "the groups", "the set of possible labels"]
    assert both.name == "ShuffleLabels then ControlTask"
    assert both.level == "labels"
    with pytest.raises(ct.InputError, match="at least two controls, got 1"):
        ct.compose(ct.ShuffleLabels())
    with pytest.raises(TypeError, match=r"compose takes controls, got the class FlipSigns; write FlipSigns\(\)"):
        ct.compose(ct.ShuffleLabels(), ct.FlipSigns)


# -- what a restriction leaves in place -----------------------------------------------------------


@pytest.mark.parametrize("given", list(ugly_problems())[:5], ids=lambda given: f"{given.target} {given.labels[0]}")
def test_alignments_agree_where_they_say_the_same(given):
    drawn = ct.ShuffleLabels(within="document").draw(given, stream(0, "alignment"))
    within = LabelAlignment(within="document").strength(given, drawn)
    assert RestrictedAlignment(Within("document")).strength(given, drawn) == pytest.approx(within)
    assert RestrictedAlignment(Free()).strength(given, drawn) == pytest.approx(LabelAlignment().strength(given, drawn))
    assert LabelAlignment().strength(given, given) == pytest.approx(1.0)


def test_sequence_alignment_by_hand():
    given = problem(np.array(list("abcdcb")), d=[0, 0, 1, 1, 2, 2])  # ab cd cb, all of length 2
    swapped = given.with_labels(np.array(list("cdabcb")))
    # agreement 2 of 6. Chance: first places a c c and second places b d b agree with themselves (1 + 4)/3 + (4 + 1)/3.
    chance = (1 + 4) / 3 + (4 + 1) / 3
    assert SequenceAlignment("d").strength(given, swapped) == pytest.approx((2 - chance) / (6 - chance))


# -- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: ct.ShuffleLabels(blocks=True), "needs whole="),
        (lambda: ct.ShuffleLabels(within="a", whole="a"), "must be different groups"),
        (lambda: ct.ShuffleLabels(within="a", exchangeability=Free()), "give it alone"),
        (
            lambda: ct.ControlTask(per="word", marginal="flat"),
            "marginal must be one of 'empirical', 'uniform', got 'flat'",
        ),
        (lambda: ct.ControlTask(per="word", context=-1), "context must be at least 0"),
        (lambda: ct.ControlTask(per="word", corrupted=1.1), "corrupted must be between 0 and 1"),
        (lambda: ct.ControlTask(per=()), "per must name at least one group"),
        (lambda: ct.ControlTask(per=None), "per must name at least one group"),
    ],
)
def test_parameters_refused(build, words):
    with pytest.raises(ct.InputError, match=words):
        build()


@pytest.mark.parametrize(
    ("control", "given", "words"),
    [
        (ct.ShuffleLabels(), problem([1, 1, 1]), "can only draw the identity"),
        (ct.ShuffleLabels(within="d"), problem([0, 0, 1], d=[0, 0, 1]), "can only draw the identity"),
        (ct.ShuffleLabels(whole="d"), problem([1, 1, 1], d=[0, 0, 0]), "can only draw the identity"),
        (ct.ShuffleLabels(whole="d", blocks=True), problem([0, 1, 1], d=[0, 0, 1]), "can only draw the identity"),
        (ct.FlipSigns(), problem([0.0, 0.0, 0.0]), "every label is zero"),
        (ct.ControlTask(per="d"), problem([0, 1, 1], d=[0, 0, 0]), "has a single value"),
        (ct.ControlTask(per="d"), problem([1, 1, 1], d=[0, 1, 2]), "labels are constant"),
        (ct.ResampleLabels(), problem([1, 1, 1]), "labels are constant"),
        (ct.ResampleLabels(within="d"), problem([0, 1, 1], d=[0, 1, 1]), "labels are constant within every d"),
    ],
)
def test_problems_refused_where_every_draw_is_the_identity(control, given, words):
    with pytest.raises(ct.CannotControl, match=words):
        control.check(given)
    same = [np.array_equal(control.draw(given, stream(0, i)).labels, given.labels) for i in range(20)]
    assert all(same) or isinstance(control, ct.ControlTask)


def test_labels_that_do_not_suit_are_refused():
    with pytest.raises(ct.InputError, match="symmetric classes such as -1 and 1"):
        ct.FlipSigns().check(problem([0, 1, 1]))
    with pytest.raises(ct.InputError, match="marginal must be 'empirical' for continuous"):
        ct.ControlTask(per="d", marginal="uniform").check(problem([0.5, 1.5, 2.0], d=[0, 1, 2]))
    ct.FlipSigns().check(problem([-1, 1, 1]))
