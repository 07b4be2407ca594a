"""Pairs of latents that fire together, against brute force and counted false alarms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse, stats

import controls as ct
from controls.core.rng import stream
from controls.firing import together
from controls.runner.draws import draw_stream

NAME = "ShuffleCoordinates()"


def latents(n=300, m=8, seed=0, planted=0.0):
    rng = stream(seed, "latents")
    fires = rng.random((n, m)) < np.linspace(0.05, 0.4, m)
    fires[:, 1] = np.where(rng.random(n) < planted, fires[:, 2], fires[:, 1])
    return ct.Problem(fires * rng.exponential(size=(n, m)))


def test_numbers_are_those_of_brute_force():
    problem = latents(60, 5)
    found = ct.cofiring(problem, [ct.ShuffleCoordinates()], min_fires=1, draws=19, seed=3)
    draws = [ct.ShuffleCoordinates().draw(problem, draw_stream(3, ct.ShuffleCoordinates(), i)).X > 0 for i in range(19)]
    everything = [problem.X > 0, *draws]
    counts = np.array([[int((each[:, a] & each[:, b]).sum()) for a, b in found.pairs] for each in everything])
    np.testing.assert_array_equal(counts[0], found.observed)
    rung = found[NAME]
    np.testing.assert_allclose(rung.mean, counts[1:].mean(axis=0))
    z = (counts - counts.mean(axis=0)) / np.sqrt(counts.var(axis=0) + 1)
    np.testing.assert_allclose(rung.z, z[0])
    np.testing.assert_allclose(rung.p_value, (1 + (counts[1:] >= counts[0]).sum(axis=0)) / 20)
    np.testing.assert_allclose(rung.adjusted_p, (1 + (z[1:].max(axis=1)[:, None] >= z[0] - 1e-9).sum(axis=0)) / 20)


def test_sparse_and_dense_latents_count_the_same():
    problem = latents(500, 9)
    as_sparse = ct.Problem(sparse.csr_array(problem.X))
    columns = np.array([0, 3, 8])
    np.testing.assert_array_equal(together(problem, columns), together(as_sparse, columns))


@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_the_chance_of_any_false_pair_is_alpha(alpha):
    false = 0
    for seed in range(400):
        found = ct.cofiring(latents(80, 5, seed), [ct.ShuffleCoordinates()], min_fires=1, draws=39, seed=seed)
        false += bool(found[NAME].survives(alpha, "max_t").any())
    assert stats.binomtest(false, 400, alpha, alternative="greater").pvalue > 1e-3
    assert stats.binomtest(false, 400, alpha, alternative="less").pvalue > 1e-4  # ties of counts cost a little


def test_planted_pairs_are_found_and_named():
    found = ct.cofiring(latents(600, 8, planted=0.6), [ct.ShuffleCoordinates()], draws=999)
    assert found.pairs[found[NAME].survives(0.05, "max_t")].tolist() == [[1, 2]]
    assert found.count(NAME) == 1
    assert found.count(NAME, "bh") >= 1
    frame = found.to_frame(3)
    assert frame.iloc[0][["first", "second"]].tolist() == [1, 2]
    assert frame.iloc[0]["first fires"] == found.fires[1]
    assert "28 pairs of 8 latents in 600 rows" in repr(found)
    assert len(found.plot().axes[0].containers) == 3


def test_runs_are_the_same_twice_and_tell_of_progress():
    said = []
    one, other = (
        ct.cofiring(latents(), [ct.ShuffleCoordinates()], draws=9, seed=5, progress=lambda *what: said.append(what))
        for _ in range(2)
    )
    np.testing.assert_array_equal(one[NAME].adjusted_p, other[NAME].adjusted_p)
    assert said[17] == (18, 18, NAME)


def test_exactness_is_withdrawn_where_rows_of_units_are_exchanged():
    problem = latents()
    named = ct.Problem(problem.X, groups={"document": np.repeat(np.arange(30), 10)}, unit="document")
    free, units = (ct.cofiring(each, [ct.ShuffleCoordinates()], draws=3)[NAME] for each in (problem, named))
    assert (free.inference, free.caveats) == ("exact", ())
    assert units.inference == "ensemble"
    assert "independent of one another" in units.caveats[0]


def test_bad_input_is_one_sentence():
    problem = latents()
    with pytest.raises(ct.InputError, match=r"must leave at least two latents, got 301, which 0 of 8 reach"):
        ct.cofiring(problem, [ct.ShuffleCoordinates()], min_fires=301)
    with pytest.raises(ct.InputError, match="must draw activations"):
        ct.cofiring(problem, [ct.ShuffleLabels()])
    with pytest.raises(ct.InputError, match="at least one control"):
        ct.cofiring(problem, [])
    with pytest.raises(ct.InputError, match="two of them are the same"):
        ct.cofiring(problem, [ct.ShuffleCoordinates(), ct.ShuffleCoordinates()])
    with pytest.raises(ct.InputError, match="no control is called"):
        ct.cofiring(problem, [ct.ShuffleCoordinates()], draws=1)["MatchSparsity"]
