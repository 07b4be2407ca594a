"""The synthetic test of recovery from end to end, at a quarter of its size, and what its page says of the full form."""

import json
import shutil

import numpy as np
import pytest

from case_studies.recovery_by_architecture.plan import CONSTANT, FULL, HERE, SHORT, THEIRS, VARIABLE
from case_studies.recovery_by_architecture.report import of_kind
from case_studies.recovery_by_architecture.run import main


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recovery_by_architecture")
    shutil.copy(HERE / "README.md", folder)
    return folder, main(["--short"], folder)


def check(results):
    """The order that the claim is about, whatever the size: many recovered by TopK, next to none by BatchTopK."""
    more, none = (of_kind(results, CONSTANT, kind, "recovered") for kind in ("TopK", "BatchTopK"))
    assert more.min() > 0.03 > none.max()
    assert min(of_kind(results, CONSTANT, kind, "explained").min() for kind in ("TopK", "BatchTopK")) > 0.6
    for kind in ("TopK", "BatchTopK"):
        np.testing.assert_allclose(of_kind(results, CONSTANT, kind, "l0"), results["active"], rtol=0.05)
    many, few = (of_kind(results, CONSTANT, kind, "alive") / results["m"] for kind in ("TopK", "BatchTopK"))
    assert many.min() > 0.9
    assert few.max() < 0.2  # most latents of BatchTopK die, which is why it finds nothing


def test_the_short_form_keeps_the_order_of_the_kinds(short):
    folder, results = short
    check(results)
    assert len(results["trained"]) == sum(SHORT.worlds.values())
    assert json.loads((folder / "results.json").read_text()) == results
    assert "| constant | BatchTopK | 2 |" in (folder / "README.md").read_text()


def test_what_is_done_is_not_done_again(short):
    folder, results = short
    assert main(["--short"], folder) == results
    assert not list(folder.glob("parts/short/*.checkpoint"))


def test_worlds_have_the_sizes_of_the_paper():
    rng = np.random.default_rng(0)
    for setting in (CONSTANT, VARIABLE):
        world = FULL.world(setting, rng)
        assert world.directions.shape == (3200, 100)
        np.testing.assert_allclose(world.features.rate * world.m, 20)
    assert set(THEIRS) >= set(FULL.worlds)


def test_the_published_results_are_what_is_expected():
    results = json.loads((HERE / "results.json").read_text())
    check(results)
