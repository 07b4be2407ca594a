"""MatchSparsity against full enumeration, brute force and counted false alarms."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest
from scipy import sparse, stats

import controls as ct
from controls.core.rng import stream
from controls.generators.margins import laws_of
from controls.generators.patterns import non_zeros, strata_of
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


def test_expected_margins_are_those_asked_for_and_met_by_draws():
    B = (stream(4, "law").random((40, 12)) < np.linspace(0.05, 0.9, 12)).astype(float)
    B[0], B[1], B[:, 0] = 0.0, 1.0, 0.0  # an empty row, a nearly full one, an empty column
    problem = ct.Problem(sparse.csr_array(B * 3.0))
    (law,) = laws_of(non_zeros(problem.X), strata_of(problem, None), "both")
    p = np.zeros_like(B)
    p[:, law.columns] = law.p[law.row_class]
    np.testing.assert_allclose(p.sum(axis=0), B.sum(axis=0), atol=1e-6)
    np.testing.assert_allclose(p.sum(axis=1), B.sum(axis=1), atol=1e-6)
    inside = p[2:, 1:]
    odds = np.log(inside / (1 - inside))  # of the form a_i + b_j
    np.testing.assert_allclose(odds - odds[:1] - odds[:, :1] + odds[0, 0], 0.0, atol=1e-5)
    control, draws = ct.MatchSparsity(margins="expected"), 800
    mean = sum(fires(control.draw(problem, stream(5, "draw", i))) for i in range(draws)) / draws
    error = np.sqrt(np.maximum(p * (1 - p), 1e-12) / draws)
    assert np.abs(mean - p)[(p == 0) | (p > 1 - 1e-9)].max() == 0
    assert np.abs((mean - p) / error)[(p > 0) & (p < 1 - 1e-9)].max() < 4.5  # of 480 cells


def test_results_are_the_same_in_workers_and_from_a_store(tmp_path):
    rng = stream(6, "workers")
    X = sparse.csr_array((rng.random((60, 8)) < 0.3) * rng.exponential(size=(60, 8)))
    problem = ct.Problem(X, rng.integers(2, size=60))

    def scores(draws=9, **how):
        settings = {"controls": [ct.MatchSparsity(sweeps=2)], "scoring": co_firing, "cv": 2, "draws": draws}
        return ct.measure(Looks(), problem, **settings, **how).comparisons[0].control_scores

    alone = scores()
    assert len(set(alone)) > 1
    np.testing.assert_array_equal(scores(n_jobs=2), alone)
    scores(4, store=tmp_path / "kept.sqlite")
    np.testing.assert_array_equal(scores(store=tmp_path / "kept.sqlite"), alone)


@dataclass(frozen=True)
class Looks(ct.Trainer):
    """Fits nothing: the score looks at the rows held out alone."""

    def fit(self, problem, rng):
        return "nothing"


def co_firing(finding, problem):
    together = fires(problem).T @ fires(problem)
    return float(np.square(np.triu(together, 1)).sum())


@pytest.mark.parametrize(
    ("X", "settings", "error", "words"),
    [
        ([[1.0, -1.0], [0, 1]], {}, ct.InputError, "non-negative"),
        ([[1.0, 0, 1]], {}, ct.CannotControl, "only draw the pattern"),
        ([[1.0], [0], [2]], {}, ct.CannotControl, "only draw the pattern"),
        ([[1.0, 1], [1, 1]], {"keep": "fill"}, ct.CannotControl, "ShuffleCoordinates"),
        ([[0.0, 0], [0, 0]], {"keep": "columns"}, ct.CannotControl, "only draw the pattern"),
        ([[1.0, 0], [0, 1]], {"within": "documents"}, ct.InputError, "Did you mean 'document'"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_one_sentence(X, settings, error, words):
    problem = ct.Problem(np.array(X), groups={"document": np.zeros(len(X))})
    with pytest.raises(error, match=words):
        ct.MatchSparsity(**settings).check(problem)


def test_settings_that_do_not_fit_are_refused():
    with pytest.raises(ct.InputError, match="magnitudes must be 'row' or 'all' for keep='rows'"):
        ct.MatchSparsity("rows", magnitudes="column")
    with pytest.raises(ct.InputError, match="keep must be one of"):
        ct.MatchSparsity("cells")
    with pytest.raises(ct.InputError, match="sweeps must be at least 1"):
        ct.MatchSparsity(sweeps=0)
    with pytest.raises(ct.InputError, match="mixing needs"):
        ct.MatchSparsity("rows").mixing(ct.Problem(FIVE.astype(float)), stream(0))


def test_forms_types_and_explicit_zeros():
    X = sparse.csr_matrix(WIDE.astype(np.float32))
    X.data[0] = 0.0
    X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    drawn = ct.MatchSparsity().draw(ct.Problem(X), stream(1)).X
    assert (type(drawn), drawn.dtype, drawn.nnz) == (sparse.csr_matrix, np.float32, WIDE.sum() - 1)
    for dtype in (bool, np.int64):
        drawn = ct.MatchSparsity().draw(ct.Problem(WIDE.astype(dtype)), stream(1)).X
        assert (drawn.sum(), drawn.dtype) == (WIDE.sum(), np.float64)
    two = ct.Problem({"a": WIDE.astype(float), "b": WIDE.astype(float)})
    assert ct.MatchSparsity().draw(two.at("b"), stream(1)).site == "b"


def test_mixing_reaches_its_plateau():
    X = stream(2, "mixing").random((400, 60)) < np.linspace(0.05, 0.5, 60)
    found = ct.MatchSparsity().mixing(ct.Problem(X), stream(3), sweeps=25)
    assert found.overlap[0] == 1.0
    assert found.overlap[1] > found.expected + 0.2
    assert np.abs(found.overlap[12:] - found.expected).max() < 0.02
    assert len(found.plot().axes[0].lines) == 3
