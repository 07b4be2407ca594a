"""k-let shuffles against full enumeration: which sequences there are, how many, and how often each is drawn."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise, permutations

import numpy as np
import pytest
from scipy.stats import chisquare

from controls.core.rng import stream
from controls.generators.klets import Klets, sequences_with

CASES = [
    ("ACCCACGATGATG", 2, 27),
    ("ABAB", 2, 1),
    ("AABAA", 2, 3),
    ("ABACABADA", 2, 12),
    ("ABCACBABC", 2, None),
    ("AABABAAB", 3, 2),
    ("AABAABBAAAB", 3, None),
    ("ABABBABAA", 3, None),
    ("AABBAABBAB", 4, None),
    ("AABBCDA", 1, 420),
    ("AAAA", 2, 1),
    ("AB", 3, 1),
    ("A", 2, 1),
]


def lets_of(sequence, k):
    return tuple(sequence[: k - 1]), Counter(tuple(sequence[i : i + k]) for i in range(len(sequence) - k + 1))


@pytest.mark.parametrize(("text", "k", "count"), CASES)
def test_draws_are_uniform_over_all_sequences_with_these_klets(text, k, count):
    items = [ord(letter) for letter in text]
    every = [tuple(found) for found in sequences_with(items, k)]
    if len(items) <= 9:  # by brute force over all permutations
        assert set(every) == {p for p in set(permutations(items)) if lets_of(p, k) == lets_of(items, k)}
    assert len(set(every)) == len(every)
    assert count is None or len(every) == count
    copies = max(400, 60 * len(every))
    klets = Klets(np.tile(items, copies), np.arange(copies + 1) * len(items), k)
    assert np.allclose(np.exp(klets.log_counts), len(every))
    drawn = klets.codes[klets.order(stream(0, "klets", text, k))].reshape(copies, -1)
    counts = Counter(map(tuple, drawn.tolist()))
    assert set(counts) == set(every)
    if len(every) > 1:
        assert chisquare([counts[sequence] for sequence in every]).pvalue > 1e-4


def test_greedy_last_exits_would_reach_fewer():
    """The last exits as they stand in the text are one arborescence of several, and reach a third of the sequences."""
    items = [ord(letter) for letter in "ACCCACGATGATG"]

    def last_exits(sequence):
        return {a: b for a, b in pairwise(sequence) if a != sequence[-1]}

    reached = [found for found in sequences_with(items, 2) if last_exits(found) == last_exits(items)]
    assert len(reached) == 9


@pytest.mark.parametrize("k", [2, 3])
def test_labelled_items_go_with_the_runs_that_they_end(k):
    items, kinds = [0, 1, 0, 0, 1, 0, 1, 1, 0, 0], [0, 0, 1, 0, 1, 1, 0, 1, 0, 1]
    copies = 20_000
    klets = Klets(np.tile(items, copies), np.arange(copies + 1) * len(items), k, np.tile(kinds, copies))
    pairs = np.stack([klets.codes, klets.kinds], axis=1)[klets.order(stream(0, "kinds", k))].reshape(copies, -1, 2)

    def labelled(sequence):
        codes = [c for c, _ in sequence]
        return Counter((tuple(codes[i : i + k]), sequence[i + k - 1][1]) for i in range(len(codes) - k + 1))

    counts = Counter(tuple(map(tuple, drawn)) for drawn in pairs.tolist())
    assert all(labelled(sequence) == labelled(list(zip(items, kinds, strict=True))) for sequence in counts)
    assert len(counts) == round(np.exp(klets.log_counts[0]))
    assert chisquare(list(counts.values())).pvalue > 1e-4


def test_documents_of_any_length_are_drawn_by_themselves():
    rng = stream(0, "ragged")
    sizes = rng.integers(1, 40, size=300)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    codes = rng.integers(4, size=starts[-1]) * 10**12  # ids need not be small
    for k in (1, 2, 3):
        klets = Klets(codes, starts, k)
        order = klets.order(rng)
        for a, b in pairwise(starts):
            assert sorted(order[a:b]) == list(range(a, b))
            assert b - a < k or lets_of(codes[order[a:b]].tolist(), k) == lets_of(codes[a:b].tolist(), k)
    together = Klets(np.tile([0, 1, 2, 3], 50), np.arange(51) * 4)
    assert len(np.unique(together.order(rng).reshape(50, 4) % 4, axis=0)) > 10  # equal documents, other orders


def test_a_draw_is_of_its_stream_alone_whatever_the_threads(monkeypatch):
    from controls.generators import klets as module

    rng = stream(0, "threads")
    klets = Klets(rng.integers(30, size=200_000), np.arange(2001) * 100, 2)
    monkeypatch.setattr(module, "_threads", lambda: 1)
    alone = klets.order(stream(1))
    monkeypatch.setattr(module, "_threads", lambda: 3)
    assert np.array_equal(klets.order(stream(1)), alone)
    assert not np.array_equal(klets.order(stream(2)), alone)


def test_bounded_numbers_are_uniform():
    from controls.generators._klet_kernels import below

    state = np.array([7], dtype=np.uint64)
    assert chisquare(np.bincount([below(state, 7) for _ in range(14_000)], minlength=7)).pvalue > 1e-4
    large = 3 << 30  # where numbers without rejection would favour a third
    drawn = np.array([below(state, large) for _ in range(12_000)])
    assert chisquare(np.bincount(drawn // (1 << 30), minlength=3)).pvalue > 1e-4
