"""The case study of parts of speech from end to end, in short, and what its page says of the last run."""

import json
import shutil

import numpy as np
import pytest

import controls as ct
from case_studies.part_of_speech.plan import HERE, SHORT
from case_studies.part_of_speech.run import main
from controls.demo import minilm

EXPECTED = json.loads((HERE / "expected.json").read_text())
installed = pytest.mark.skipif(not minilm.is_installed(), reason="the package with MiniLM is not installed")


def check(results, expected):
    for path, wanted in expected.items():
        kind, *rest = path.split("/")
        if kind == "score":
            task, layer = rest
            value = results["parts"]["labels"]["figures"][task][layer]["score"]
        elif kind == "selectivity":
            part, task, layer, control = rest
            name = part if part == "labels" else f"weights/{part}"
            value = results["parts"][name]["figures"][task][layer]["controls"][control]["selectivity"][0]
        else:
            name, task = rest
            value = results["parts"][f"difference/{name}"]["figures"][task]["estimate"][0]
        assert value == pytest.approx(wanted["value"], abs=wanted["tolerance"]), path


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    folder = tmp_path_factory.mktemp("part_of_speech")
    return folder, main(["--short", "--folder", str(folder)])


@installed
def test_the_short_form_gives_what_is_expected(short):
    results = short[1]
    check(results, EXPECTED["short"])
    assert set(results["tasks"]) == {"role"}
    for part in results["parts"].values():
        for task in part["figures"].values():
            for layer in task.values() if "layer" not in task else ():
                for record in layer["controls"].values():
                    value, low, high = record["selectivity"]
                    assert low < value < high
                    assert value == pytest.approx(layer["score"] - np.mean(record["draws"]), abs=1e-4)


@installed
def test_differences_are_those_of_the_scores(short):
    for name in ("all weights", "all but the embeddings", "MLP"):
        made = short[1]["parts"][f"difference/{name}"]["figures"]["role"]
        trained, redrawn = made["trained"], made["redrawn"]
        assert made["layer"] == SHORT.probe_layers[-1]
        assert made["estimate"][0] == pytest.approx(trained[0] - trained[1] - redrawn[0] + redrawn[1], abs=1e-6)
        assert np.mean(made["redrawn_selectivities"]) == pytest.approx(redrawn[0] - redrawn[1], abs=1e-4)


@installed
def test_a_stopped_run_goes_on_with_what_is_missing(short, tmp_path):
    folder, results = short
    shutil.copytree(folder, tmp_path / "again")
    lost = tmp_path / "again" / "parts" / "probes_linear.json"
    lost.unlink()
    others = {path: path.stat().st_mtime_ns for path in lost.parent.iterdir()}
    again = main(["--short", "--folder", str(tmp_path / "again")])
    assert {path: path.stat().st_mtime_ns for path in others} == others
    assert again["parts"]["probes/linear"]["figures"] == results["parts"]["probes/linear"]["figures"]
    assert again["orderings"] == results["orderings"]


@installed
def test_a_folder_of_another_text_is_refused(tmp_path):
    (tmp_path / "key.txt").write_text("another")
    with pytest.raises(ct.InputError, match="holds parts of another"):
        main(["--short", "--folder", str(tmp_path)])


def test_a_run_wants_a_file_or_the_short_form(capsys):
    with pytest.raises(SystemExit):
        main([])
    assert "name a CoNLL-U file" in capsys.readouterr().err


def test_the_published_results_are_what_is_expected():
    results = json.loads((HERE / "results.json").read_text())
    check(results, EXPECTED[results["form"]])
