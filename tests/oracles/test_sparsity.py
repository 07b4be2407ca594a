"""MatchSparsity against full enumeration, brute force and counted false alarms."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from scipy import sparse, stats

import controls as ct
from controls.core.rng import stream
from controls.generators.patterns import non_zeros
from controls.generators.sparsity import _can_change

FIVE = np.array([[1, 1, 0], [0, 1, 1], [1, 0, 0]])
HOLES = np.array([[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 0], [1, 1, 0, 1], [0, 0, 0, 1]])
TALL = np.array([[1, 0], [0, 1], [1, 0], [1, 1], [0, 0], [0, 1]])
WIDE = np.array([[1, 1, 0, 0, 1], [0, 1, 1, 0, 0], [1, 0, 0, 1, 1]])


def enumerated(B, keep, codes=None):
    """All patterns with the margins of B that are kept, within each stratum."""
    codes = np.zeros(len(B), dtype=int) if codes is None else codes

    def margins(M):
        parts = [M[codes == code] for code in np.unique(codes)]
        return [
            {"fill": [P.sum()], "rows": P.sum(1).tolist(), "columns": P.sum(0).tolist()}.get(keep)
            or [*P.sum(0), *P.sum(1)]
            for P in parts
        ]

    wanted = margins(B)
    every = (np.reshape(bits, B.shape) for bits in itertools.product((0, 1), repeat=B.size))
    return [M.tobytes() for M in every if M.sum() == B.sum() and margins(M) == wanted]


def fires(problem):
    X = problem.X.toarray() if sparse.issparse(problem.X) else problem.X
    return (X > 0).astype(int)


def p_of_uniform(control, problem, possible, times=60):
    counts = Counter(fires(control.draw(problem, stream(7, "draw", i))).tobytes() for i in range(times * len(possible)))
    assert set(counts) <= set(possible)
    return stats.chisquare([counts[each] for each in possible]).pvalue


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize(("B", "count"), [(FIVE, 5), (HOLES, 0), (TALL, 0), (WIDE, 0)])
def test_patterns_with_both_margins_are_equally_frequent(B, count, form):
    possible = enumerated(B, "both")
    assert len(possible) == count or not count
    problem = ct.Problem(form(B * (1.0 + np.arange(B.size).reshape(B.shape))))
    assert p_of_uniform(ct.MatchSparsity("both", sweeps=15), problem, possible, 60) > 1e-3


@pytest.mark.parametrize("keep", ["fill", "rows", "columns"])
@pytest.mark.parametrize("B", [FIVE, TALL[:5]])
def test_patterns_with_weaker_margins_are_equally_frequent(keep, B):
    assert p_of_uniform(ct.MatchSparsity(keep), ct.Problem(B.astype(float)), enumerated(B, keep), 30) > 1e-3


@pytest.mark.parametrize("keep", ["fill", "columns", "both"])
def test_groups_are_matrices_of_their_own(keep):
    B = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1]])
    document = np.array([1, 0, 1, 0])
    problem = ct.Problem(B.astype(float), groups={"document": document})
    possible = enumerated(B, keep, document)
    assert len(possible) > 1
    assert p_of_uniform(ct.MatchSparsity(keep, within="document"), problem, possible, 12) > 1e-3


@pytest.mark.parametrize(("keep", "per"), [("both", "column"), ("both", "row"), ("rows", "row"), ("fill", "all")])
@pytest.mark.parametrize("within", [None, "document"])
def test_magnitudes_are_permuted_uniformly(keep, per, within):
    X = np.array([[1.0, 4.0, 0], [2.0, 0, 6.0], [0, 5.0, 7.0], [3.0, 8.0, 0]])
    problem = ct.Problem(X, groups={"document": [0, 1, 1, 0]})
    control = ct.MatchSparsity(keep, magnitudes=per, within=within)
    counts: dict = {}
    strata = [0, 1, 1, 0] if within else [0] * 4
    for i in range(1200):
        drawn = control.draw(problem, stream(3, per, i)).X
        places = np.argwhere(drawn > 0)
        by_unit: dict = {}
        for r, c in places:
            by_unit.setdefault({"column": (strata[r], c), "row": r, "all": strata[r]}[per], []).append(drawn[r, c])
        for unit, values in by_unit.items():
            counts.setdefault(unit, Counter())[tuple(values)] += 1
    assert any(len(each) > 1 for each in counts.values())
    for each in counts.values():
        every = list(itertools.permutations(next(iter(each))))
        assert set(each) <= set(every)
        if len(every) <= 120:
            assert stats.chisquare([each[order] for order in every]).pvalue > 1e-4 if len(every) > 1 else True


def test_unique_patterns_are_recognised():
    rng = stream(0, "unique")
    for _ in range(300):
        B = (rng.random((rng.integers(1, 5), rng.integers(1, 4))) < rng.random()).astype(int)
        for keep in ("fill", "rows", "columns", "both"):
            old = non_zeros(B.astype(float))
            assert _can_change(old, np.arange(len(B)), keep) == (len(enumerated(B, keep)) > 1)


def structureless(rng, B):
    """A pattern uniform over those with the margins of B, by a long chain of single swaps."""
    M = B.copy()
    for _ in range(400):
        (i, k), (j, m) = rng.choice(len(M), 2, replace=False), rng.choice(M.shape[1], 2, replace=False)
        square = M[np.ix_([i, k], [j, m])]
        if square[0, 0] == square[1, 1] != square[0, 1] == square[1, 0]:
            M[np.ix_([i, k], [j, m])] = 1 - square
    return M


def test_one_sweep_is_valid_through_a_hub_and_not_without():
    rng = stream(1, "hub")
    B = (rng.random((12, 10)) < np.linspace(0.1, 0.7, 10)).astype(int)
    control, draws, repetitions = ct.MatchSparsity(sweeps=1), 19, 600
    alarms = {"hub": 0, "data": 0}
    for i in range(repetitions):
        problem = ct.Problem(structureless(rng, B).astype(float))
        for name, start in (("hub", control.start(problem, stream(i, "start"))), ("data", problem)):
            # What the chain moves away from: how far draws are from the observed pattern's own neighbourhood.
            drawn = [fires(control.draw(start, stream(i, name, j))) for j in range(draws)]
            own = _typical(fires(problem), drawn)
            others = [_typical(each, [fires(problem), *drawn[:j], *drawn[j + 1 :]]) for j, each in enumerate(drawn)]
            alarms[name] += (1 + sum(other >= own for other in others)) / (draws + 1) <= 0.05
    assert stats.binomtest(alarms["hub"], repetitions, 0.05, alternative="greater").pvalue > 1e-3
    assert stats.binomtest(alarms["data"], repetitions, 0.05, alternative="greater").pvalue < 1e-9


def _typical(pattern, others):
    """How many non-zeros a pattern shares with others: p is valid where all are exchangeable."""
    return sum(int((pattern & other).sum()) for other in others)
