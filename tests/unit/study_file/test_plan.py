"""controls plan: what would run, the floors, and a time that was measured."""

import re

import pytest

import controls as ct
from controls.generators.labels import ShuffleLabels
from controls.study_file import estimate as timing
from controls.study_file.build import build
from controls.study_file.spec import read_spec


def test_plan_says_what_measure_plans_and_keeps_nothing(folder, start):
    done = start("plan", folder / "study.toml", "--no-timing")
    (task,) = build(read_spec(folder / "study.toml"))
    plan = ct.plan(task.trainer, task.problem, controls=task.controls, **task.settings)
    assert done.code == 0
    assert str(plan) in done.out
    assert "Role of names (line 1)" in done.out
    assert "about" not in done.out
    assert sorted(path.name for path in folder.iterdir()) == ["acts.npy", "names.csv", "noise.npy", "study.toml"]


def test_without_timing_nothing_is_drawn_or_fitted(folder, start, monkeypatch):
    def never(*_given, **_named):
        raise AssertionError("drawn")

    monkeypatch.setattr(ShuffleLabels, "order", never)
    monkeypatch.setattr("controls.runner.evaluate.Evaluator.evaluate", never)
    assert start("plan", folder / "study.toml", "--no-timing").code == 0
    assert start("run", folder / "study.toml", "--dry-run", "--draws", 19).code == 4  # it times a block


def test_time_is_that_of_one_block_scaled_to_all_draws(folder, monkeypatch):
    (task,) = build(read_spec(folder / "study.toml", {"draws": 200, "block": 64}))
    (prepared,) = task.prepared().values()
    clock, calls = [0.0], []

    def evaluate(self, labels, *, wanted=None):
        calls.append(labels.shape[1])
        clock[0] += 1.0 + labels.shape[1] / 64

    monkeypatch.setattr("controls.runner.evaluate.Evaluator.evaluate", evaluate)
    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock[0])
    found = timing.estimate(prepared)
    assert calls == [1, 64]
    assert found.seconds == pytest.approx((1 + 1 / 64) + 2.0 * 200 / 64)
    assert found.timed == "timed on 64 draws of ShuffleLabels in 2 s"


def test_timing_leaves_the_result_as_it_is(folder, start):
    start("plan", folder / "study.toml")
    start("run", folder / "study.toml")
    kept = ct.load(folder / "study.run").comparisons[0].control_scores
    assert start("run", folder / "study.toml", "--out", folder / "b").code == 0
    assert kept.tolist() == ct.load(folder / "b").comparisons[0].control_scores.tolist()
    assert re.search(r"about .*, timed on 39 draws of ShuffleLabels in", start("plan", folder / "study.toml").out)


def test_floors_that_cannot_decide_are_named(changed, start):
    few = start("plan", changed(("draws = 39", "draws = 9")), "--no-timing")
    assert "p floor 0.1, too high to decide at alpha 0.05" in few.out
    claims = '[claims.a]\n[claims.b]\nlabels = "names.csv:coin"\n[claims.c]\nsmallest_effect = 0.1\n'
    many = start("plan", changed(added=claims), "--no-timing")
    assert "'a' cannot be the first of 3 claims to hold: its p floor .025 is above alpha/3 = .0167 (Holm)" in many.out
    assert "draws = 59 would do" in many.out
    enough = start("plan", changed(("draws = 39", "draws = 59"), added=claims), "--no-timing")
    assert "cannot be the first" not in enough.out


def test_a_plan_of_bad_input_leaves_with_3(changed, start):
    done = start("plan", changed(("acts.npy", "gone.npy")))
    assert (done.code, done.out) == (3, "")
    assert "study.toml, line 6: the file" in done.err
