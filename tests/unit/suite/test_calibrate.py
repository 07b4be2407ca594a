"""controls calibrate: cases run, judged together, written down; a broken case makes it leave with 1."""

import json
import re
from functools import partial

import pytest
from typer.testing import CliRunner

from controls.cli import app
from controls.core.errors import InputError, NameNotFound
from controls.testing.calibrate.outcome import Judged, attempt
from controls.testing.calibrate.run import outcomes, run
from controls.testing.suite import cases
from controls.testing.suite.case import (
    Case,
    Coverage,
    Effect,
    Effort,
    Exact,
    NearZero,
    Power,
    Rejections,
    Shown,
    Verdict,
)
from controls.testing.suite.cases import THEMES, Theme, chosen


def good(effort):
    return [
        Rejections("size | of a test", 5, effort.pick(100, 200)),
        Effect("R²", 0.4, 0.401, 0.001, 100),
        Power("delta 1", 60, 100, at=1.0, curve="probe", expected=0.6),
        Power("delta 2", 90, 100, at=2.0, curve="probe"),
        Shown("spread", 0.1),
    ]


def broken(effort):
    return [Rejections("p without the +1", 40, 200), Verdict("word", "SELECTIVE", "SELECTIVE")]


def raises(effort):
    raise ZeroDivisionError("planted")


def just(check, effort):
    return [check, Shown("beside", 1.0)]


def stops(effort):
    raise KeyboardInterrupt


GOOD = Case("good", "does it hold?", "null", good)
BROKEN = Case("broken", "does it hold?", "null", broken)
RAISES = Case("raises", "does it run?", "no", raises)


def plant(monkeypatch, *planted):
    """Make these the only cases."""
    monkeypatch.setattr(cases, "THEMES", (Theme("planted", "Planted", "Cases that are planted."),))
    monkeypatch.setattr(Theme, "cases", property(lambda theme: planted))


def call(*arguments):
    return CliRunner().invoke(app, ["calibrate", *map(str, arguments)])


def test_all_passed_leaves_with_0_and_writes_what_was_expected_and_measured(monkeypatch, tmp_path):
    plant(monkeypatch, GOOD)
    done = call("--json", tmp_path / "a.json", "--docs", tmp_path / "page.md", "--jobs", 1)
    assert done.exit_code == 0, done.output
    assert "all passed" in done.stdout
    (found,) = json.loads((tmp_path / "a.json").read_text())["cases"]
    assert found["passed"] is True
    assert found["expected"]["R²"] == 0.4
    assert found["measured"]["size | of a test"] == 5 / 200
    assert found["checks"][0]["low"] < 5 / 200 < found["checks"][0]["high"]
    page = (tmp_path / "page.md").read_text()
    assert "size \\| of a test" in page
    pictures = re.findall(r"!\[.+\]\((.+\.svg)\)", page)
    assert len(pictures) == 3
    for picture in pictures:
        assert (tmp_path / picture).read_text().rstrip().endswith("</svg>")


def test_a_planted_broken_case_leaves_with_1_and_says_missed(monkeypatch, tmp_path):
    plant(monkeypatch, GOOD, BROKEN)
    done = call("--short", "--json", tmp_path / "a.json", "--docs", tmp_path / "page.md", "--jobs", 1)
    assert done.exit_code == 1
    assert "MISSED: broken" in done.stdout
    found = {case["name"]: case["passed"] for case in json.loads((tmp_path / "a.json").read_text())["cases"]}
    assert found == {"good": True, "broken": False}
    rows = [line for line in (tmp_path / "page.md").read_text().splitlines() if "MISSED**" in line]
    assert len(rows) == 1
    assert "p without the +1" in rows[0]


def test_a_case_that_raises_has_failed_and_the_rest_goes_on(monkeypatch, tmp_path):
    plant(monkeypatch, RAISES, GOOD)
    done = call("--json", tmp_path / "a.json", "--docs", tmp_path / "page.md", "--jobs", 1)
    assert done.exit_code == 1
    first, second = json.loads((tmp_path / "a.json").read_text())["cases"]
    assert first["error"].startswith("ZeroDivisionError: planted (test_calibrate.py, line")
    assert not first["passed"]
    assert second["passed"]
    assert "ZeroDivisionError: planted" in (tmp_path / "page.md").read_text()


@pytest.mark.parametrize(
    ("checks", "words"),
    [
        ([], "can fail"),
        ([Shown("a", 1.0)], "can fail"),
        ([Exact("a", 1, 1, 0), Exact("a", 1, 1, 0)], "'a' twice"),
    ],
)
def test_a_case_that_checks_nothing_or_one_name_twice_has_failed(checks, words):
    outcome = attempt(THEMES[0], Case("x", "", "", lambda effort: checks), Effort())
    assert words in outcome.error
    assert not outcome.passed(0.01)


def test_ctrl_c_leaves_with_130(monkeypatch):
    plant(monkeypatch, GOOD, Case("stops", "", "", stops))
    assert call("--jobs", 1).exit_code == 130


def test_tests_of_a_run_share_one_level():
    def of(*checks):
        made = [attempt(THEMES[0], Case("x", "", "", partial(just, each)), Effort()) for each in checks]
        return Judged(tuple(made), short=False, seconds=1.0)

    alone = of(Rejections("", 20, 200))
    assert alone.level == 0.01
    assert not alone.passed  # p = .0027
    many = of(Rejections("", 20, 200), *(Coverage("", 190, 200) for _ in range(9)), Exact("", 1, 1, 0))
    assert many.n_tests == 10
    assert many.level == pytest.approx(0.001)
    assert many.passed


def off_by(first, second, effort):
    """Be off by so many standard errors in the first run and in the second; a count that only the first has."""
    off = second if effort.second else first
    return [
        Effect("R²", 0.4, 0.4 + 0.001 * off, 0.001, effort.repetitions(100, 200)),
        Effect("other", 0.4, 0.4 + 0.01 * effort.second, 0.001, 100),
        NearZero("bias", 0.0 if effort.second else 0.02),
        Rejections("size", 100 if effort.second else 5, 100),
    ]


@pytest.mark.parametrize(("first", "second", "passed"), [(3.4, 0.8, True), (3.4, 3.1, False), (2.9, 9.0, True)])
def test_an_effect_that_is_off_is_decided_by_a_second_run_alone(monkeypatch, tmp_path, first, second, passed):
    plant(monkeypatch, Case("twice", "", "", partial(off_by, first, second)))
    done = call("--json", tmp_path / "a.json", "--jobs", 1)
    assert (done.exit_code == 0) is passed
    effect, other, bias, size = json.loads((tmp_path / "a.json").read_text())["cases"][0]["checks"]
    if first > 3:
        assert effect["first"] == pytest.approx(first)
        assert effect["repetitions"] == 800
        assert f"first run 3.4 s.e. off, this one, of four times as many: {second}" in effect["measured_words"]
    else:
        assert effect["first"] is None
        assert effect["repetitions"] == 200
    assert other["first"] is None  # passed at first: what the second run has is not looked at
    assert bias["first"] == 0.02
    assert bias["passed"]
    assert size["count"] == 5


def test_a_second_run_that_lists_other_checks_is_an_error():
    def uneven(effort):
        return [Effect("R²", 0.0, 3.4, 1.0, 9), *([Shown("more", 1.0)] if effort.second else [])]

    assert attempt(THEMES[0], Case("x", "", "", uneven), Effort()).error.startswith("ValueError: zip()")


def test_counts_say_what_they_would_have_shown(monkeypatch, tmp_path):
    plant(monkeypatch, Case("few", "", "", partial(just, Rejections("few", 2, 40))), GOOD)
    done = call("--json", tmp_path / "a.json", "--docs", tmp_path / "page.md", "--jobs", 1)
    assert "passed, TOO FEW" in done.stdout
    assert "TOO FEW to show five points" in done.stdout.replace("\n", " ")
    few, good = (case["checks"][0] for case in json.loads((tmp_path / "a.json").read_text())["cases"])
    assert few["too_few"]
    assert few["visible"] > good["visible"] > 0.1
    assert f"| {few['visible']:.3f} | passed, TOO FEW |" in (tmp_path / "page.md").read_text()


def test_workers_and_their_number_change_nothing():
    chosen_cases = chosen(["only training labels shuffled", "r2, 30 very unequal documents, d = 10"])
    one = {outcome.case.name: outcome.checks for outcome in outcomes(chosen_cases, Effort(short=True), jobs=1)}
    two = {outcome.case.name: outcome.checks for outcome in outcomes(chosen_cases, Effort(short=True), jobs=2)}
    assert one == two


def test_cases_are_chosen_by_theme_or_name_and_named_once():
    names = [case.name for _, case in chosen()]
    assert len(set(names)) == len(names)
    assert {theme.name for theme, _ in chosen(["Coverage"])} == {"coverage"}
    assert [case.name for _, case in chosen(["best of 12 layers"])] == ["best of 12 layers"]
    assert not {theme.name for theme in THEMES} & set(names)
    with pytest.raises(NameNotFound, match="Did you mean 'coverage'"):
        chosen(["covrage"])


def test_a_place_that_is_not_there_is_refused_before_anything_runs(tmp_path):
    with pytest.raises(InputError, match="in a folder that exists"):
        run(docs=tmp_path / "no" / "page.md", only=["best of 12 layers"])
    with pytest.raises(InputError, match="must be a file"):
        run(json=tmp_path, only=["best of 12 layers"])
