"""controls run, show and report: what they print, keep and leave with."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import controls as ct
from controls.core.result import ClaimVerdict, Sweep
from controls.study_file import reports
from controls.study_file import run as study_run

SITES = ('activations = "acts.npy"', 'activations = { noise = "noise.npy", "layer 3" = "acts.npy" }')
CLAIMS = """
[claims.role]
[claims.coin]
labels = "names.csv:coin"
draws = 19
"""
ENV = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(ct.__file__).parents[1])}


def measured_directly(data, labels, activations, **settings):
    words = np.where(labels, "call", "load") if labels is data.role else np.where(labels, "heads", "tails")
    groups = {"document": [f"{file:03d}" for file in data.file], "word": [f"w{word}" for word in data.word]}
    return ct.measure(
        ct.probes.RidgeProbe(alpha=2.0),
        ct.Problem(activations, words, groups=groups, unit="document"),
        controls=[ct.ShuffleLabels(within="document")],
        scoring="roc_auc",
        **{"draws": 39, **settings},
    )


def test_a_run_is_what_measure_finds(folder, data):
    done = study_run.run(folder / "study.toml")
    direct = measured_directly(data, data.role, data.X)
    (claim,) = done.claims
    assert claim.name == "Role of names"
    assert claim.result.score == direct.score
    assert claim.result.comparisons[0].control_scores.tolist() == direct.comparisons[0].control_scores.tolist()
    assert (claim.result.verdict, claim.adjusted_p) == (ClaimVerdict.HOLDS, direct.comparisons[0].claim_p)
    reports.write_results(done)
    assert ct.load(folder / "study.run").score == direct.score


SAE = """
title = "More than covariance?"
scoring = "controls.metrics:explained_variance"
cv = 2
draws = 19

[data]
activations = "acts.npy"
unit = "document"
groups = { document = "names.csv:file" }

[trainer]
use = "SAE"
n_latents = 8
k = 2
steps = 20
batch_size = 32

[[controls]]
use = "RandomDictionary"
"""


def test_a_finder_needs_no_labels(folder, data):
    (folder / "sae.toml").write_text(SAE)
    (claim,) = study_run.run(folder / "sae.toml").claims
    direct = ct.measure(
        ct.finders.SAE(8, k=2, steps=20, batch_size=32),
        ct.Problem(data.X, groups={"document": [f"{file:03d}" for file in data.file]}, unit="document"),
        controls=[ct.RandomDictionary()],
        scoring=ct.metrics.explained_variance,
        cv=2,
        draws=19,
    )
    assert claim.result.score == direct.score
    assert claim.result.comparisons[0].control_scores.tolist() == direct.comparisons[0].control_scores.tolist()


@pytest.mark.parametrize("scoring", ['scoring = "accuracy"', ""])
def test_a_score_that_needs_labels_says_so(folder, scoring):
    (folder / "sae.toml").write_text(SAE.replace('scoring = "controls.metrics:explained_variance"', scoring))
    with pytest.raises(ct.InputError, match=r"sae\.toml, line .*labels must be given for this scoring"):
        study_run.run(folder / "sae.toml")


def test_one_claim_may_have_labels_and_another_none(folder, data):
    claims = """
[claims.sae]
[claims.probe]
labels = "names.csv:role"
scoring = "roc_auc"
trainer = { use = "RidgeProbe", alpha = 2.0 }
controls = [{ use = "ShuffleLabels", within = "document" }]
"""
    (folder / "sae.toml").write_text(SAE + claims)
    sae, probe = study_run.run(folder / "sae.toml").claims
    assert sae.result.score < 1
    assert probe.result.score == measured_directly(data, data.role, data.X, cv=2).score


def test_tables_are_shown_also_where_nothing_more_can_be_written(folder, start, monkeypatch):
    replace = os.replace

    def full(new, old):
        if old.name == "result.json":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(new, old)

    whole = start("run", folder / "study.toml", "--out", folder / "whole.run")
    monkeypatch.setattr(os, "replace", full)
    done = start("run", folder / "study.toml", "--out", folder / "full.run")
    assert done.code == 3
    assert done.out.replace("full.run", "whole.run") == whole.out
    assert "result.json' cannot be written (No space left on device)" in done.err


def test_the_command_by_itself_leaves_with_0_where_the_claim_holds(folder):
    command = [sys.executable, "-m", "controls", "run", "study.toml"]
    done = subprocess.run(command, cwd=folder, env=ENV, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "CLAIM HOLDS" in done.stdout
    assert done.stdout.endswith("Exit code 0. Kept in study.run.\n")
    assert done.stderr == "controls: measuring Role of names\n"
    kept = sorted(path.name for path in (folder / "study.run").iterdir())
    assert {"report.html", "result.json", "run.json", "store.db", "study.toml"} <= set(kept)


def test_exit_codes_of_claims(changed, start):
    undecided = changed(("names.csv:role", "names.csv:coin"))
    assert start("run", undecided, "--out", undecided.parent / "a").code == 2
    failed = changed(("names.csv:role", "names.csv:coin"), ("draws = 39", "draws = 39\nsmallest_effect = 0.45"))
    assert start("run", failed, "--out", failed.parent / "b").code == 1


def test_draws_in_place_of_the_files_are_kept_with_the_run(folder, start):
    assert start("run", folder / "study.toml", "--draws", 59).code == 0
    assert ct.load(folder / "study.run").comparisons[0].draws == 59
    assert start("show", folder / "study.run").code == 0
    refused = start("run", folder / "study.toml")
    assert refused.code == 3
    assert "draws was 59 and is 39 (line 3)" in refused.err
    assert "draws was 59 and is 99. Go on" in start("run", folder / "study.toml", "--draws", 99).err
    assert start("run", folder / "study.toml", "--draws", 0).code == 3


def test_show_and_report_need_neither_data_nor_trainer(folder, start):
    first = start("run", folder / "study.toml")
    for name in ("acts.npy", "names.csv", "study.toml"):
        (folder / name).unlink()
    shown = start("show", folder / "study.run")
    assert shown.out == first.out
    assert start("report", folder / "study.run", "--html", folder / "page.html").code == 0
    assert "Role of names" in (folder / "page.html").read_text()


def test_a_run_again_answers_from_what_is_kept(folder, start, monkeypatch):
    first = start("run", folder / "study.toml")

    def never(*_given, **_named):
        raise AssertionError("fitted again")

    monkeypatch.setattr(ct.probes.RidgeProbe, "engine", never)
    again = start("run", folder / "study.toml")
    assert (again.code, again.out) == (first.code, first.out)


def test_a_run_that_was_stopped_goes_on_and_ends_as_if_it_had_not(changed, start, monkeypatch):
    from controls.runner.evaluate import Evaluator

    study = changed(added=CLAIMS)
    whole = start("run", study, "--out", study.parent / "whole")
    calls, evaluate = [], Evaluator.evaluate

    def stops(self, labels, **named):
        calls.append(labels.shape[1])
        if len(calls) == 4:  # the observed labels and a block of each claim
            raise KeyboardInterrupt
        return evaluate(self, labels, **named)

    monkeypatch.setattr(Evaluator, "evaluate", stops)
    stopped = start("run", study)
    assert stopped.code == 130
    assert "store.db" in stopped.err.splitlines()[-1]
    unfinished = start("show", study.parent / "study.run")
    assert unfinished.code == 3
    assert "has not measured 1 of 2 claims ('coin' first)" in unfinished.err
    assert calls == [1, 39, 1, 19]
    again = start("run", study)
    assert calls[4:] == [19]
    assert again.code == whole.code
    assert again.out.splitlines()[:-1] == whole.out.splitlines()[:-1]  # all but the folder's name


@pytest.mark.parametrize(
    ("replaced", "words"),
    [
        (("draws = 39", "draws = 59"), "draws was 39 and is 59 (line 3)"),
        (("alpha = 2.0", "alpha = 3.0"), "trainer.alpha was 2.0 and is 3.0 (line 16)"),
        (('within = "document"\n', ""), "controls[0].within was 'document' and is not there"),
        (("draws = 39", "draws = 39\nalpha = 0.01"), "alpha was not there and is 0.01 (line 4)"),
    ],
)
def test_a_run_is_not_gone_on_with_under_other_settings(changed, start, replaced, words):
    start("run", changed())
    refused = start("run", changed(replaced))
    assert refused.code == 3
    assert words in refused.err
    assert "--out" in refused.err


def test_a_run_is_not_gone_on_with_on_other_data(folder, data, start):
    start("run", folder / "study.toml")
    np.save(folder / "acts.npy", data.X + 1)
    refused = start("run", folder / "study.toml")
    assert refused.code == 3
    assert "the study 'Role of names' with other settings: activations" in refused.err


def test_a_folder_of_something_else_is_left_alone(folder, start):
    (folder / "mine").mkdir()
    (folder / "mine" / "letter.txt").write_text("Dear")
    refused = start("run", folder / "study.toml", "--out", folder / "mine")
    assert (refused.code, sorted(path.name for path in (folder / "mine").iterdir())) == (3, ["letter.txt"])
    assert "is a folder of something else" in refused.err
    assert "is not a run" in start("show", folder / "mine").err


def test_sites_without_claims_are_a_sweep_corrected_by_max_t(changed, data, start):
    study = changed(SITES)
    done = study_run.run(study)
    sweep = done.records["Role of names"]
    assert isinstance(sweep, Sweep)
    assert [claim.name for claim in done.claims] == ["Role of names at noise", "Role of names at layer 3"]
    by_hand = [
        max(result.comparisons[0].claim_p, sweep.adjusted_p["ShuffleLabels"][site])
        for site, result in sweep.results.items()
    ]
    assert [claim.adjusted_p for claim in done.claims] == by_hand
    shown = start("show", study.parent / "study.run")
    assert "2 claims after max-T over the sites" in shown.out


def test_several_claims_are_measured_each_and_corrected_by_holm(changed, data, start):
    study = changed(added=CLAIMS)
    code = start("run", study).code
    done = study_run.read_run(study.parent / "study.run")
    role = measured_directly(data, data.role, data.X)
    coin = measured_directly(data, data.coin, data.X, draws=19)
    assert [claim.result.score for claim in done.claims] == [role.score, coin.score]
    adjusted = ct.correct({"role": role, "coin": coin}, "holm")
    assert {claim.name: claim.adjusted_p for claim in done.claims} == adjusted
    assert [claim.line for claim in done.claims] == [22, 23]
    assert code == 2


def test_a_claim_without_a_site_is_made_at_each(changed):
    study = changed(SITES, added='[claims.role]\n[claims.coin]\nlabels = "names.csv:coin"\nsite = "noise"\n')
    done = study_run.run(study)
    assert [claim.name for claim in done.claims] == ["role at noise", "role at layer 3", "coin"]
    assert done.claims[1].result.score > 0.9 > done.claims[0].result.score


def test_reports_for_machines(changed, start, monkeypatch):
    study = changed(added=CLAIMS)
    monkeypatch.chdir(study.parent)
    Path("summary.md").write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "summary.md")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    done = start("run", "study.toml", "--junit", "x.xml", "--parquet", "x.parquet")
    assert done.code == 2
    annotations = [line for line in done.out.splitlines() if line.startswith("::")]
    assert [line.split(" ")[0] for line in annotations] == ["::warning", "::notice"]
    assert "file=study.toml,line=23," in annotations[0]
    assert "file=study.toml,line=22," in annotations[1]
    cases = ElementTree.parse("x.xml").getroot().findall(".//testcase")
    assert [len(case.findall("skipped")) for case in cases] == [0, 1]
    summary = Path("summary.md").read_text()
    assert summary.startswith("before\n")
    assert "role" in summary
    assert "coin" in summary
    table = pytest.importorskip("polars").read_parquet("x.parquet")
    assert table.group_by("claim").len().sort("claim").rows() == [("coin", 19), ("role", 39)]
    quiet = start("report", "study.run", "--no-annotations")
    assert (quiet.code, quiet.out) == (0, "study.run/report.html\n")
    monkeypatch.delenv("GITHUB_ACTIONS")
    assert "::" not in start("run", "study.toml").out


def test_a_claim_that_correction_undoes_is_undecided_in_every_report(changed, start):
    claims = "".join(f'[claims.{name}]\nlabels = "names.csv:{name}"\n' for name in ("role", "coin"))
    study = changed(("draws = 39", "draws = 19"), added=claims)
    done = start("run", study, "--junit", study.parent / "x.xml")
    assert done.code == 2
    assert "CLAIM UNDECIDED. Holds by itself, but the p it needs is .1 after correction for 2 claims" in done.out
    assert "2 claims after Holm's correction: 2 UNDECIDED" in done.out
    suite = ElementTree.parse(study.parent / "x.xml").getroot()
    assert len(suite.findall(".//skipped")) == 2
    assert "Holds by itself" in (study.parent / "study.run" / "report.html").read_text()
    assert ct.load(study.parent / "study.run" / "result-1.json").verdict == "HOLDS"  # taken alone


def test_about_of_a_newer_version_is_refused(folder, start):
    start("run", folder / "study.toml")
    about = folder / "study.run" / "run.json"
    about.write_text(json.dumps({"schema": "controls.run/2"}))
    assert "its schema must be 'controls.run/1'" in start("show", folder / "study.run").err
