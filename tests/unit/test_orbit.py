"""Orbits against brute force: every relabeling that swaps of siblings can reach, and closed forms."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import controls as ct
from controls.core.exchangeability import Fixed, Free, Nested, SignFlip, Whole, Within
from controls.core.orbit import TreeOrbit, count_of
from controls.core.rng import stream

# -- the oracle: a tree as nested lists, and a search over swaps ----------------------------------


def tree_of(rows, columns):
    if not columns:
        return rows
    codes = sorted({columns[0][row] for row in rows})
    return [tree_of([row for row in rows if columns[0][row] == code], columns[1:]) for code in codes]


def shape_of(node):
    return tuple(shape_of(child) if isinstance(child, list) else None for child in node)


def rows_of(node):
    return [row for child in node for row in (rows_of(child) if isinstance(child, list) else [child])]


def swaps_of(node, exchange):
    """Yield the pairs of rows that one swap of two siblings exchanges."""
    for a, b in itertools.combinations(node, 2):
        if exchange[0] and not isinstance(a, list):
            yield [(a, b)]
        elif exchange[0] and shape_of(a) == shape_of(b):
            yield list(zip(rows_of(a), rows_of(b), strict=True))
    for child in node:
        if isinstance(child, list):
            yield from swaps_of(child, exchange[1:])


def reachable(labels, swaps):
    found, fresh = {tuple(labels)}, [tuple(labels)]
    while fresh:
        now = fresh.pop()
        for swap in swaps:
            after = list(now)
            for a, b in swap:
                after[a], after[b] = after[b], after[a]
            if tuple(after) not in found:
                found.add(tuple(after))
                fresh.append(tuple(after))
    return found


@st.composite
def trees(draw):
    n, depth = draw(st.integers(1, 7)), draw(st.integers(0, 3))
    columns = []
    for _ in range(depth):
        codes = draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))
        outer = columns[-1] if columns else [0] * n
        columns.append([10 * above + code for above, code in zip(outer, codes, strict=True)])  # nested, unsorted
    exchange = draw(st.lists(st.booleans(), min_size=depth + 1, max_size=depth + 1))
    labels = draw(st.lists(st.sampled_from("abc"), min_size=n, max_size=n))
    return labels, columns, exchange


@given(trees())
@settings(max_examples=250, deadline=None, derandomize=True)
def test_tree_agrees_with_a_search_over_swaps(given_tree):
    labels, columns, exchange = given_tree
    levels = tuple(
        (np.unique(column, return_inverse=True)[1], free) for column, free in zip(columns, exchange[:-1], strict=True)
    )
    orbit = TreeOrbit(np.array(labels), levels, exchange[-1])
    swaps = list(swaps_of(tree_of(list(range(len(labels))), columns), exchange))
    expected = reachable(labels, swaps)
    listed = [tuple(relabeled.tolist()) for relabeled in orbit.enumerate()]
    assert listed[0] == tuple(labels)
    assert len(listed) == len(set(listed))
    assert set(listed) == expected
    assert count_of(orbit) == len(expected)
    for i in range(5):
        order = orbit.order(stream(0, i))
        assert sorted(order.tolist()) == list(range(len(labels)))
        assert tuple(np.array(labels)[order].tolist()) in expected
        assert tuple(orbit.draw(stream(0, i)).tolist()) == tuple(np.array(labels)[order].tolist())


@given(trees())
@settings(max_examples=100, deadline=None, derandomize=True)
def test_places_are_where_swaps_can_send_a_row(given_tree):
    labels, columns, exchange = given_tree
    n = len(labels)
    levels = tuple(
        (np.unique(column, return_inverse=True)[1], free) for column, free in zip(columns, exchange[:-1], strict=True)
    )
    places = TreeOrbit(np.array(labels), levels, exchange[-1]).places
    swaps = list(swaps_of(tree_of(list(range(n)), columns), exchange))
    for row in range(n):
        marked = reachable([int(i == row) for i in range(n)], swaps)
        assert {mark.index(1) for mark in marked} == set(np.flatnonzero(places == places[row]).tolist())


# -- closed forms ---------------------------------------------------------------------------------


def multinomial(counts):
    exact = math.factorial(sum(counts))
    for count in counts:
        exact //= math.factorial(count)
    return exact


def problem(labels, **groups):
    return ct.Problem(np.zeros((len(labels), 1)), labels, groups=groups)


@pytest.mark.parametrize("counts", [(1,), (3,), (2, 2), (1, 2, 3), (1, 1, 1, 1, 1), (4, 1)])
def test_free_is_multinomial(counts):
    labels = np.random.default_rng(1).permutation(np.repeat(np.arange(len(counts)), counts))
    orbit = Free().orbit(problem(labels))
    n, k = sum(counts), len(counts)
    assert count_of(orbit) == multinomial(counts)
    assert count_of(orbit) == pytest.approx(stats.multinomial(n, [1 / k] * k).pmf(counts) * k**n)
    assert len(list(orbit.enumerate())) == multinomial(counts)


def test_large_counts_stay_exact_in_the_logarithm():
    counts = (700, 200, 100)
    orbit = Free().orbit(problem(np.repeat([2, 0, 1], counts)))
    assert orbit.log_count == pytest.approx(math.log(multinomial(counts)), rel=1e-12)
    assert count_of(orbit) == math.inf
    assert count_of(Free().orbit(problem(np.arange(20)))) == math.factorial(20)


def test_within_is_a_product_over_groups_of_unequal_size():
    document = np.array([2, 0, 2, 1, 2, 2, 0, 2])
    labels = np.array(list("abbcabba"))
    expected = math.prod(
        multinomial(np.unique(labels[document == d], return_counts=True)[1].tolist()) for d in range(3)
    )
    orbit = Within("d").orbit(problem(labels, d=document))
    assert count_of(orbit) == expected == len({tuple(row) for row in orbit.enumerate()})


def test_whole_permutes_group_labels_whatever_the_sizes():
    document = np.array([3, 0, 3, 1, 2, 2, 0, 3, 4])
    of_document = np.array(["x", "y", "x", "x", "y"])
    orbit = Whole("d").orbit(problem(of_document[document], d=document))
    expected = {tuple(np.array(p)[document].tolist()) for p in itertools.permutations(of_document.tolist())}
    assert {tuple(row.tolist()) for row in orbit.enumerate()} == expected
    assert count_of(orbit) == multinomial([3, 2]) == len(expected)
    assert {tuple(orbit.draw(stream(1, i)).tolist()) for i in range(300)} == expected
    order = orbit.order(stream(1, 0))
    assert tuple(of_document[document][order].tolist()) == tuple(orbit.draw(stream(1, 0)).tolist())


def test_blocks_exchange_sequences_among_groups_of_equal_length():
    document = np.array([5, 1, 5, 1, 8, 8, 2, 8, 3])  # lengths: 5→2, 1→2, 8→3, 2→1, 3→1
    labels = np.array(list("abcdefghi"))
    orbit = Whole("d", blocks=True).orbit(problem(labels, d=document))
    listed = {"".join(row) for row in orbit.enumerate()}
    assert listed == {"abcdefghi", "badcefghi", "abcdefihg", "badcefihg"}
    assert count_of(orbit) == 4


def test_whole_within_stays_in_the_larger_group():
    genre = np.array([0, 0, 0, 1, 1, 1, 1])
    document = np.array([0, 1, 1, 2, 3, 3, 4])
    orbit = Whole("d", within="g").orbit(problem(np.array(list("abbcdde")), d=document, g=genre))
    assert count_of(orbit) == 2 * math.factorial(3)


@pytest.mark.parametrize("labels", [[1.5, -2.0, 0.0, 3.0, 0.0], [1, -1, 1, -1, 1]])
def test_signs_are_powers_of_two(labels):
    document = np.array([0, 1, 2, 0, 2])
    for per, groups in ((None, np.arange(5)), ("d", document)):
        orbit = SignFlip(per).orbit(problem(labels, d=document))
        signs = itertools.product([1, -1], repeat=len(set(groups.tolist())))
        expected = {tuple((np.array(labels) * np.array(s)[groups] + 0).tolist()) for s in signs}
        listed = [tuple(row.tolist()) for row in orbit.enumerate()]
        assert listed[0] == tuple(labels)
        assert len(listed) == len(set(listed)) == len(expected)
        assert set(listed) == expected
        assert count_of(orbit) == len(expected) == 2 ** round(orbit.log_count / math.log(2))


def test_fixed_is_one():
    orbit = Fixed().orbit(problem([0, 1, 2]))
    assert count_of(orbit) == 1
    assert [row.tolist() for row in orbit.enumerate()] == [[0, 1, 2]]


def test_draws_of_a_tree_are_uniform():
    sentence = np.array([0, 0, 1, 1, 2, 2, 3, 3, 3])
    document = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1])
    labels = np.array(list("aabbabccd"))
    orbit = Nested(("d", "s"), (False, True)).orbit(problem(labels, d=document, s=sentence))
    places = {"".join(row): i for i, row in enumerate(orbit.enumerate())}
    assert len(places) == 2 * 2 * 3  # two sentences of a document trade places; rows within sentences
    counts = np.bincount([places["".join(orbit.draw(stream(2, i)))] for i in range(1200)], minlength=len(places))
    assert stats.chisquare(counts).pvalue > 1e-4


def test_long_problems_can_be_enumerated():
    labels = np.zeros(1500, dtype=int)
    labels[700] = 1
    rows = itertools.islice(Free().orbit(problem(labels)).enumerate(), 40)
    assert len({int(row.argmax()) for row in rows}) == 40


# -- refusals -------------------------------------------------------------------------------------


def test_what_no_group_of_permutations_respects_is_refused():
    document, word = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    given_problem = problem([0, 1, 0, 1], d=document, w=word)
    with pytest.raises(ct.InputError, match="labels vary within 2 of 2; pass blocks=True"):
        Whole("d").orbit(given_problem)
    with pytest.raises(ct.InputError, match="'w' must be nested in 'd', but 2 of its members lie in several"):
        Whole("w", within="d").orbit(given_problem)
    with pytest.raises(ct.InputError, match="'w' must be nested in 'd'"):
        Nested(("d", "w"), (True, True)).orbit(given_problem)
    with pytest.raises(ct.InputError, match="one entry per group, got 1 for 2 groups"):
        Nested(("d", "w"), (True,)).orbit(given_problem)
    for labels in (list("abab"), [True, False] * 2, np.array([1, 2, 1, 2], dtype=np.uint8)):
        with pytest.raises(TypeError, match="labels must be signed numbers"):
            SignFlip().orbit(problem(labels))
