"""Folds: whole units, one rule for observed and drawn labels, and what is refused."""

import numpy as np
import pytest
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    LeaveOneGroupOut,
    LeaveOneOut,
    RepeatedStratifiedKFold,
    ShuffleSplit,
    StratifiedGroupKFold,
    StratifiedKFold,
)

import controls as ct
from controls.core.rng import stream
from controls.runner.folds import make_folds


def ugly(seed=0, n_units=23, named=True, strings=False):
    """Units of very unequal sizes, in shuffled rows, under names that do not sort by size."""
    rng = stream(seed, "folds test")
    names = rng.permutation(1000)[:n_units] - 500
    unit = rng.permutation(np.repeat(names, rng.geometric(0.2, size=n_units)))
    labels = rng.integers(3, size=len(unit))
    labels = np.array(["ant", "bee", "cat"])[labels] if strings else labels
    groups = {"document": unit}
    return ct.Problem(rng.normal(size=(len(unit), 2)), labels, groups=groups, unit="document" if named else None)


def columns(problem, count, seed=1):
    rng = stream(seed, "columns")
    return np.stack([rng.permutation(problem.label_codes) for _ in range(count)], axis=1)


def everything(splits, targets):
    return np.full(targets.shape[1], len(splits))


def both_classes(splits, targets):
    """Folds in which training and test rows have two classes each."""
    fine = [
        [len(np.unique(column[train])) > 1 and len(np.unique(column[test])) > 1 for column in targets.T]
        for train, test in splits
    ]
    return np.sum(fine, axis=0)


def same(some, others):
    return all(
        np.array_equal(a, b) for one, two in zip(some, others, strict=True) for a, b in zip(one, two, strict=True)
    )


def parts_of(splits, values):
    """The folds as sets of test values, in order."""
    return [frozenset(values[test].tolist()) for _, test in splits]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("cv", [None, 2, 7, np.int64(3)])
def test_unit_folds_partition_rows_and_never_split_a_unit(seed, cv):
    problem = ugly(seed)
    splits = make_folds(cv, problem, seed).default()
    assert len(splits) == (5 if cv is None else cv)
    assert np.array_equal(np.sort(np.concatenate([test for _, test in splits])), np.arange(problem.n))
    document = problem.groups["document"]
    for train, test in splits:
        assert np.array_equal(np.sort(np.concatenate([train, test])), np.arange(problem.n))
        assert not set(document[train]) & set(document[test])
    units_per_fold = [len(set(document[test])) for _, test in splits]
    assert max(units_per_fold) - min(units_per_fold) <= 1


def test_unit_folds_depend_on_units_and_seed_alone():
    problem = ugly()
    document = problem.groups["document"]
    first = make_folds(None, problem, 0).default()
    relabelled = ct.Problem(problem.X * -3, np.roll(problem.labels, 7), groups=problem.groups, unit="document")
    assert same(first, make_folds(None, relabelled, 0).default())
    assert same(first, make_folds(None, problem, 0).default())
    assert not same(first, make_folds(None, problem, 1).default())
    moved = stream(0, "moved").permutation(problem.n)
    assert parts_of(first, document) == parts_of(make_folds(None, problem.take(moved), 0).default(), document[moved])


def test_without_a_unit_rows_are_split():
    problem = ugly(named=False)
    splits = make_folds(4, problem, 0).default()
    assert np.array_equal(np.sort(np.concatenate([test for _, test in splits])), np.arange(problem.n))
    assert {len(test) for _, test in splits} <= {problem.n // 4, problem.n // 4 + 1}
    assert make_folds(4, problem, 0).words == "4 folds of whole rows"


@pytest.mark.parametrize(("n_units", "folds"), [(2, 2), (3, 2), (5, 2), (6, 3), (9, 4), (10, 5), (40, 5)])
def test_default_number_of_folds(n_units, folds):
    assert len(make_folds(None, ugly(n_units=n_units), 0).default()) == folds


def test_columns_keep_the_first_split_where_it_is_usable():
    problem = ugly()
    folds = make_folds(None, problem, 3)
    choices = folds.choose(columns(problem, 6), everything)
    assert len(choices) == 1
    assert same(choices[0].splits, folds.default())
    assert choices[0].columns.tolist() == list(range(6))


def test_a_column_with_a_rare_class_is_split_again_until_usable():
    rng = stream(0, "rare")
    unit = np.arange(40)
    problem = ct.Problem(rng.normal(size=(40, 1)), rng.integers(2, size=40), groups={"u": unit}, unit="u")
    targets = np.zeros((40, 60), dtype=np.int64)
    for column in targets.T:
        column[rng.choice(40, size=5, replace=False)] = 1
    folds = make_folds(3, problem, 0)
    choices = folds.choose(targets, both_classes)
    default = both_classes(folds.default(), targets)
    assert 0 < (default < 3).sum() < 60  # both kinds of columns are there
    for choice in choices:
        got = both_classes(choice.splits, targets[:, choice.columns])
        assert (got == 3).all()
        assert same(choice.splits, folds.default()) == bool((default[choice.columns] == 3).all())
    assert np.array_equal(np.sort(np.concatenate([choice.columns for choice in choices])), np.arange(60))


def test_the_split_of_a_column_depends_on_that_column_alone():
    rng = stream(1, "rare")
    problem = ct.Problem(rng.normal(size=(30, 1)), rng.integers(2, size=30))
    targets = (rng.random((30, 25)) < 0.12).astype(np.int64)
    folds = make_folds(4, problem, 0)
    together = {int(c): choice.splits for choice in folds.choose(targets, both_classes) for c in choice.columns}
    for column in range(25):
        (alone,) = folds.choose(targets[:, [column]], both_classes)
        assert same(alone.splits, together[column])


def test_hopeless_columns_get_the_split_with_the_most_usable_folds():
    problem = ct.Problem(np.eye(12), np.arange(12) % 2)
    pairs = [(i, j) for i in range(12) for j in range(i)]
    hopeless = np.zeros((12, len(pairs)), dtype=np.int64)
    for column, pair in zip(hopeless.T, pairs, strict=True):
        column[list(pair)] = 1  # two rows of a class can be in the tests of two of four folds at most
    folds = make_folds(4, problem, 0)
    default = both_classes(folds.default(), hopeless)
    assert set(default) == {0, 2}
    for choice in folds.choose(hopeless, both_classes):
        assert (both_classes(choice.splits, hopeless[:, choice.columns]) == 2).all()
        assert same(choice.splits, folds.default()) == bool((default[choice.columns] == 2).all())


SPLITTERS = [
    GroupKFold(4),
    StratifiedGroupKFold(4),
    StratifiedGroupKFold(4, shuffle=True),
    StratifiedGroupKFold(4, shuffle=True, random_state=3),
    StratifiedGroupKFold(4, shuffle=True, random_state=np.random.RandomState(3)),
    LeaveOneGroupOut(),
]


@pytest.mark.parametrize("splitter", SPLITTERS, ids=[f"{type(s).__name__}-{i}" for i, s in enumerate(SPLITTERS)])
def test_group_splitters_keep_units_whole_and_are_one_function_of_the_labels(splitter):
    problem = ugly(2, strings=True)
    folds, again = make_folds(splitter, problem, 0), make_folds(splitter, problem, 0)
    targets = columns(problem, 3)
    targets = np.column_stack([problem.label_codes, targets, targets[:, 0]])
    found = {int(c): choice.splits for choice in folds.choose(targets, everything) for c in choice.columns}
    assert sorted(found) == list(range(5))
    assert same(found[0], folds.default())  # codes are split as labels are
    assert same(found[1], found[4])
    assert same(folds.default(), again.default())
    for splits in found.values():
        for train, test in splits:
            assert not set(problem.unit_codes[train]) & set(problem.unit_codes[test])


def test_a_seeded_splitter_makes_the_folds_that_it_makes_alone():
    problem = ugly(3, strings=True)
    splitter = StratifiedGroupKFold(3, shuffle=True, random_state=11)
    expected = list(splitter.split(problem.X, problem.labels, problem.groups["document"]))
    assert same(make_folds(splitter, problem, 99).default(), expected)


def test_an_unseeded_splitter_follows_the_seed_and_stays_as_it_was():
    problem = ugly(named=False)
    splitter, shared = StratifiedKFold(4, shuffle=True), np.random.RandomState(5)
    stateful = KFold(4, shuffle=True, random_state=shared)
    before = shared.get_state()[1].copy()
    first, other = make_folds(splitter, problem, 0).default(), make_folds(splitter, problem, 1).default()
    assert not same(first, other)
    make_folds(stateful, problem, 0).choose(columns(problem, 3), everything)
    assert splitter.random_state is None
    assert stateful.random_state is shared
    assert np.array_equal(before, shared.get_state()[1])


@pytest.mark.parametrize(
    "splitter", [StratifiedKFold(4), LeaveOneOut(), ShuffleSplit(3), RepeatedStratifiedKFold(n_splits=3, n_repeats=2)]
)
def test_splitters_without_use_for_units_do_not_warn(splitter):
    problem = ugly(named=False, n_units=8)
    assert len(make_folds(splitter, problem, 0).default()) == splitter.get_n_splits(problem.X)


def test_stratified_folds_follow_each_column():
    problem = ugly(named=False)
    targets = columns(problem, 4)
    choices = make_folds(StratifiedKFold(3), problem, 0).choose(targets, everything)
    for choice in choices:
        for column in choice.columns:
            expected = list(StratifiedKFold(3).split(problem.X, targets[:, column]))
            assert same(choice.splits, expected)


@pytest.mark.parametrize("form", ["list", "generator", "masks", "tuples of lists"])
def test_fixed_folds_are_taken_as_given(form):
    problem = ugly(named=False)
    pairs = [(np.arange(20, problem.n), np.arange(20)), (np.arange(10), np.arange(30, 50))]
    given = {
        "list": pairs,
        "generator": iter(pairs),
        "masks": [tuple(np.isin(np.arange(problem.n), rows) for rows in pair) for pair in pairs],
        "tuples of lists": tuple([a.tolist(), b.tolist()] for a, b in pairs),
    }[form]
    folds = make_folds(given, problem, 0)
    assert same(folds.default(), pairs)
    (choice,) = folds.choose(columns(problem, 3), everything)
    assert same(choice.splits, pairs)
    assert choice.columns.tolist() == [0, 1, 2]


REFUSED = {
    "one": (1, "cv must be at least 2, got 1"),
    "more than units": (24, r"cv must be at most the number of units \(23 document\), got 24"),
    "boolean": (True, "cv must be a whole number, got True"),
    "text": ("five", "cv must be an integer, a scikit-learn splitter, or an iterable"),
    "number": (2.5, "cv must be an integer, a scikit-learn splitter, or an iterable"),
    "nothing": ([], "cv must give at least one fold, got none"),
    "no test rows": ([(np.arange(5), np.array([], dtype=int))], "fold 0 has none of one kind"),
    "too large": ([([0, 1], [99_999])], "cv must give pairs of row indices .* got in fold 0: row 99999"),
    "negative": ([([0, -1], [2])], "got in fold 0: row -1"),
    "triples": ([([0], [1], [2])], "got in fold 0: too many values"),
    "no pairs": ([3], "got in fold 0"),
    "fractions": ([([0.5, 1.5], [2.0])], "got in fold 0: dtype float64"),
    "short masks": ([([True, False], [False, True])], "got in fold 0: an array of shape"),
    "tables": ([([[0, 1], [2, 3]], [4])], r"got in fold 0: an array of shape \(2, 2\)"),
    "rows split": (KFold(5), "cv must keep each document on one side, but fold 0 trains and tests on"),
    "rows stratified": (StratifiedKFold(5), "cv must keep each document on one side"),
    "too many groups": (GroupKFold(50), r"cv=GroupKFold\(.*\) cannot split these rows: .*n_splits=50"),
    "too many members": (StratifiedGroupKFold(400), "cannot split these rows"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    cv, sentence = REFUSED[name]
    with pytest.raises(ct.InputError, match=sentence):
        make_folds(cv, ugly(), 0)


def test_one_unit_cannot_be_split():
    problem = ct.Problem(np.eye(4), [0, 1, 0, 1], groups={"document": ["a"] * 4}, unit="document")
    with pytest.raises(ct.InputError, match="unit 'document' must have at least two members to split by, got one"):
        make_folds(None, problem, 0)
