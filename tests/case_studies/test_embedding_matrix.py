"""The case study of embeddings from end to end, in short; its parts; and what its page says of the full form."""

import json
import shutil

import numpy as np
import pytest

from case_studies.embedding_matrix.embeddings import Embedding, most_frequent
from case_studies.embedding_matrix.plan import ALIKE, BY_FREQUENCY, HERE, SHORT, SPELLINGS, STAGES, Pursuit
from case_studies.embedding_matrix.pursuit import _missed, scores
from case_studies.embedding_matrix.report import REAL, values
from case_studies.embedding_matrix.rows import CONTROLS, bound_for
from case_studies.embedding_matrix.run import main

EXPECTED = json.loads((HERE / "expected.json").read_text())


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    folder = tmp_path_factory.mktemp("embedding_matrix")
    shutil.copy(HERE / "README.md", folder)
    return folder, main(["--short"], folder)


def check(results):
    at_end = {"stage": STAGES[-1], "counted": BY_FREQUENCY}
    cells = results["tiny"]["cells"]
    seen = {
        f"{rows}, refit 4": values(cells, "refit 4", rows=rows, **at_end).mean()
        for rows in (REAL, "Gaussian", "bounded cosine")
    }
    if results["smollm2"]:
        large = {"counted": BY_FREQUENCY, "rows": REAL}
        seen["SmolLM2, refit 4"] = values(results["smollm2"]["cells"], "refit 4", **large).mean()
    for name, wanted in EXPECTED[results["form"]].items():
        assert wanted["low"] <= seen[name] <= wanted["high"], (name, seen[name])


def test_the_short_form_gives_what_is_expected(short):
    folder, results = short
    check(results)
    variants = len(STAGES) - 1 + len((BY_FREQUENCY, ALIKE, SPELLINGS))
    assert len(results["tiny"]["cells"]) == SHORT.seeds * variants * (1 + len(CONTROLS))
    assert json.loads((folder / "results.json").read_text()) == results
    assert (folder / "errors.png").stat().st_size > 5000
    assert "| bounded cosine |" in (folder / "README.md").read_text()


def test_what_is_done_is_not_done_again(short):
    folder, results = short
    part = next(folder.glob("parts/short/tiny-seed0.json"))
    before = part.stat().st_mtime_ns
    assert main(["--short"], folder) == results
    assert part.stat().st_mtime_ns == before


def test_the_published_results_are_what_is_expected():
    results = json.loads((HERE / "results.json").read_text())
    check(results)


def embedding(rows, seed=0):
    rng = np.random.default_rng(seed)
    n = len(rows)
    return Embedding(rows, 1 + rng.integers(1000, size=n)[np.argsort(-np.arange(n))], tuple(map(str, range(n))))


def mixed(n, d, seed):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)) @ rng.standard_normal((d, d)) + 3 * rng.standard_normal(d)


def test_each_control_keeps_what_it_says():
    given, rng = embedding(mixed(120, 8, 1)), np.random.default_rng(2)
    drawn = {name: control(given, rng) for name, control in CONTROLS.items()}
    centred = {name: rows - rows.mean(axis=0) for name, rows in {REAL: given.rows, **drawn}.items()}
    np.testing.assert_allclose(drawn["Gaussian"].mean(axis=0), given.rows.mean(axis=0))
    np.testing.assert_allclose(np.cov(drawn["Gaussian"].T), np.cov(given.rows.T))
    for band in np.split(np.arange(120), 4):
        rows = drawn["Gaussian by frequency"][band]
        np.testing.assert_allclose(np.cov(rows.T), np.cov(given.rows[band].T))
    spectrum = drawn["spectrum-matched"] - given.rows.mean(axis=0)
    own = np.linalg.svd(centred[REAL], compute_uv=False)
    np.testing.assert_allclose(np.linalg.svd(spectrum, compute_uv=False), own)
    bounded = drawn["bounded cosine"] - given.rows.mean(axis=0)
    lengths = np.linalg.norm(bounded, axis=1)
    np.testing.assert_allclose(lengths, np.linalg.norm(centred[REAL], axis=1))
    cosines = np.abs(bounded @ bounded.T / np.outer(lengths, lengths))
    assert cosines[~np.eye(120, dtype=bool)].max() < bound_for(120, 8)


def test_rows_that_are_sparse_are_told_from_normal_ones_of_their_covariance():
    rng, plan = np.random.default_rng(3), Pursuit(600, atoms=24, penalty=0.1, steps=60, batch=64, active=(1, 2, 4))
    atoms = rng.standard_normal((24, 16))
    sparse = embedding((rng.random((600, 24)) < 2 / 24) * rng.standard_normal((600, 24)) @ atoms)
    own = scores(sparse, plan, np.random.default_rng(4))
    normal = Embedding(CONTROLS["Gaussian"](sparse, rng), sparse.counts, sparse.texts)
    assert own["refit 4"] < 0.5 * scores(normal, plan, np.random.default_rng(4))["refit 4"]
    assert own["error 1"] > own["error 2"] > own["error 4"]
    assert all(own[f"refit {k}"] <= own[f"error {k}"] for k in plan.active)  # the penalty shrinks codes


def test_one_of_each_spelling():
    rows = np.arange(12.0).reshape(6, 2)
    given = most_frequent(
        rows, np.array([5, 9, 7, 0, 2, 1]), 5, lambda ids: ["the", " The", "a", "b", "\n", "\ufffd"][ids[0]]
    )
    assert given.texts == (" The", "a", "the", "\n", "\ufffd")
    kept = given.one_of_each_spelling()
    assert kept.texts == (" The", "a", "\n", "\ufffd")
    np.testing.assert_array_equal(kept.rows, rows[[1, 2, 4, 5]])
    np.testing.assert_array_equal(kept.counts, [9, 7, 2, 1])


def test_tokens_of_spaces_alone_are_one_spelling():
    given = Embedding(np.eye(5), np.arange(5, 0, -1), ("\n", "    ", "x", "\n\n", " \t"))
    assert given.one_of_each_spelling().texts == ("\n", "x")


def test_rows_that_are_matched_by_weight_have_the_weighted_mean_and_covariance():
    given, rng = embedding(mixed(60, 4, 5)), np.random.default_rng(6)
    drawn = np.concatenate([CONTROLS["Gaussian, weighted"](given, rng) for _ in range(3000)])
    np.testing.assert_allclose(drawn.mean(axis=0), np.average(given.rows, axis=0, weights=given.counts), atol=0.05)
    wanted = np.cov(given.rows.T, aweights=given.counts, ddof=0)
    assert np.linalg.norm(np.cov(drawn.T) - wanted) < 0.02 * np.linalg.norm(wanted)


def test_a_row_of_two_atoms_is_missed_by_nothing_once_it_is_refitted():
    atoms = np.linalg.qr(np.random.default_rng(7).standard_normal((6, 6)))[0]
    own, refitted = _missed(np.array([2 * atoms[0] - atoms[3]]), atoms, (1, 2))[0]
    np.testing.assert_allclose(refitted, [1, 0], atol=1e-12)  # what is left of the row is the smaller atom
    assert own[0] >= 1
