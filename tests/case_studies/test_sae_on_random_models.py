"""The case study of SAEs on random models from end to end, in short, and what its page says of the full form."""

import json
import shutil

import pytest

from case_studies.sae_on_random_models.plan import HERE, MODELS, REAL, SHORT, TEXTS, TRAINED
from case_studies.sae_on_random_models.report import into_readme, values
from case_studies.sae_on_random_models.run import main

EXPECTED = json.loads((HERE / "expected.json").read_text())


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sae_on_random_models")
    shutil.copy(HERE / "README.md", folder)
    return folder, main(["--short"], folder)


def check(results):
    first = results["layers"][0]
    seen = {
        "trained explained": values(results["cells"], "explained", model=TRAINED, text=REAL, layer=first).mean(),
        "re-initialised explained": values(
            results["cells"], "explained", model="re-initialised", text=REAL, layer=first
        ).mean(),
        "shuffled text explained": values(
            results["cells"], "explained", model=TRAINED, text="shuffled", layer=first
        ).mean(),
    }
    for name, wanted in EXPECTED[results["form"]].items():
        assert wanted["low"] <= seen[name] <= wanted["high"], (name, seen[name])


def test_the_short_form_gives_what_is_expected(short):
    folder, results = short
    check(results)
    assert len(results["cells"]) == SHORT.seeds * len(MODELS) * len(TEXTS) * len(SHORT.layers)
    assert json.loads((folder / "results.json").read_text()) == results
    assert (folder / "depth.png").stat().st_size > 5000
    assert "| spectrum-matched |" in (folder / "README.md").read_text()


def test_what_is_done_is_not_done_again(short):
    folder, results = short
    again = main(["--short"], folder)
    assert again["cells"] == results["cells"]


def test_the_page_says_what_the_results_say():
    results = json.loads((HERE / "results.json").read_text())
    readme = (HERE / "README.md").read_text()
    assert into_readme(readme, results) == readme
    check(results)
