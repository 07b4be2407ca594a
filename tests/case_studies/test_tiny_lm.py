"""The tiny language model's case study from end to end, in short, and what its pages say of the full one."""

import json
import shutil

import numpy as np
import pytest
import torch

import controls as ct
from case_studies.tiny_lm.checkpoints import read_tokenizer
from case_studies.tiny_lm.model import build, load
from case_studies.tiny_lm.plan import HERE, SHORT
from case_studies.tiny_lm.run import main

EXPECTED = json.loads((HERE / "expected.json").read_text())
ARMS = ["trained", "gaussian"]


def arguments(folder):
    return ["--short", "--folder", str(folder), "--jobs", "1", "--arms", *ARMS]


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny_lm")
    return folder, main(arguments(folder))


def check(results, expected):
    for path, wanted in expected.items():
        first, *rest = path.split("/")
        if first == "baselines":
            value = results["baselines"][rest[0]]
        else:
            value = np.mean([run["held_out"][str(results["stages"][rest[0]])] for run in results["arms"][first]])
        assert value == pytest.approx(wanted["value"], abs=wanted["tolerance"]), path


def test_the_short_form_gives_what_is_expected(short):
    results = short[1]
    check(results, EXPECTED["short"])
    for run in results["arms"]["trained"]:
        assert run["held_out_end"] < results["baselines"]["unigram"] - 0.1
        assert run["held_out"]["0"] == pytest.approx(np.log(SHORT.vocabulary), abs=0.05)


def test_a_checkpoint_is_the_model_of_its_step(short):
    folder, results = short
    kept = load(2, 0, folder=folder)
    assert all(torch.equal(a, b) for a, b in zip(kept.parameters(), build(SHORT, 2).parameters(), strict=True))
    stages = [load(2, stage, folder=folder) for stage in SHORT.stages]
    assert len({model.unembed.weight.sum().item() for model in stages}) == 4
    frozen = load(2, arm="gaussian", folder=folder).embed.weight
    assert torch.equal(frozen, 50 * kept.embed.weight)
    assert {run["embedding_moved"] for run in results["arms"]["gaussian"]} == {0.0}
    text = "def f(x):\n    return x"
    tokenizer = read_tokenizer(folder)
    assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_a_stopped_run_goes_on_with_what_is_missing(short, tmp_path):
    folder, results = short
    shutil.copytree(folder, tmp_path / "again")
    lost = tmp_path / "again" / "trained" / "seed4"
    (lost / "record.json").unlink()
    (lost / "step0.pt").unlink()
    others = {p: p.stat().st_mtime_ns for p in (tmp_path / "again").glob("*/seed*/*") if p.parent != lost}
    again = main(arguments(tmp_path / "again"))
    assert {p: p.stat().st_mtime_ns for p in others} == others
    assert again["comparisons"] == results["comparisons"]
    assert again["arms"]["trained"][4]["train_curve"] == results["arms"]["trained"][4]["train_curve"]
    for step in SHORT.stages.values():
        ours, theirs = ((where / "trained" / "seed4" / f"step{step}.pt") for where in (folder, tmp_path / "again"))
        pairs = zip(*(torch.load(path, weights_only=True).values() for path in (ours, theirs)), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)


def test_what_is_not_there_is_said(short, tmp_path):
    with pytest.raises(ct.InputError, match=r"holds no models.*python -m case_studies\.tiny_lm\.run"):
        load(0, folder=tmp_path)
    with pytest.raises(ct.InputError, match="no checkpoint trained/seed0/step7; it has: gaussian/seed0/step100"):
        load(0, 7, folder=short[0])
    with pytest.raises(ct.InputError, match="step must be a number or one of 'start'"):
        load(0, "last", folder=short[0])


def test_a_folder_of_another_plan_is_refused(short, tmp_path):
    record = json.loads((short[0] / "plan.json").read_text())
    (tmp_path / "plan.json").write_text(json.dumps(record | {"corpus": "another"}))
    with pytest.raises(ct.InputError, match="another plan or corpus"):
        main(arguments(tmp_path))


def test_the_published_results_are_what_is_expected():
    results = json.loads((HERE / "results.json").read_text())
    check(results, EXPECTED[results["form"]])
