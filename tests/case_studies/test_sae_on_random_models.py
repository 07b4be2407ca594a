"""The case study of SAEs on random models from end to end, in short, and what its page says of the full form."""

import json
import shutil

import pytest

from case_studies.sae_on_random_models.compare import values
from case_studies.sae_on_random_models.plan import HERE, MODELS, REAL, SHORT, TEXTS, TRAINED
from case_studies.sae_on_random_models.run import main

EXPECTED = json.loads((HERE / "expected.json").read_text())


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sae_on_random_models")
    shutil.copy(HERE / "README.md", folder)
    return folder, main(["--short", "--jobs", "1"], folder)


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
    again = main(["--short", "--jobs", "1"], folder)
    assert again["cells"] == results["cells"]


def test_the_published_results_are_what_is_expected():
    results = json.loads((HERE / "results.json").read_text())
    check(results)


def test_the_published_claims_are_in_the_published_results():
    results = json.loads((HERE / "results.json").read_text())
    rises = {(each["score"], each["model"]): each["change"] for each in results["slopes"]}
    assert all(rises["entropy", model]["low"] > 0 for model in MODELS)
    assert rises["excess", TRAINED]["low"] < 0 < rises["excess", TRAINED]["high"]
    assert all(rises["excess", model]["low"] > 0 for model in MODELS if model != TRAINED)
    answers = {each["model"]: each for each in results["orders"] if each["score"] == "share"}
    assert answers[TRAINED]["change"]["high"] < 0
    assert all(answers[model]["change"]["low"] < 0 < answers[model]["change"]["high"] for model in list(MODELS)[1:])
    assert all(answers[model]["beside"]["p"] < 0.005 for model in list(MODELS)[1:])
