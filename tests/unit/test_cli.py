"""The command line: exit codes, one-line errors, and a light start."""

import re
import subprocess
import sys
import types

import pytest
from typer.testing import CliRunner

import controls.catalogue
import controls.demo.run
from controls import cli
from controls.catalogue import catalogue
from controls.core.errors import InputError

HEAVY = ("torch", "sklearn", "scipy", "pandas", "matplotlib", "transformers", "pydantic")


def start(*arguments: str):
    return CliRunner().invoke(cli.app, list(arguments))


def test_help_names_the_commands_and_imports_nothing_heavy():
    code = (
        "import sys, controls.__main__ as m\n"
        "sys.argv = ['controls', '--help']\n"
        "try: m.main()\n"
        f"finally: print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert all(command in done.stdout for command in ("demo", "list", "calibrate"))


def test_python_m_controls_refuses_in_one_line_with_code_3(tmp_path):
    command = [sys.executable, "-m", "controls", "demo", "--draws", "0", "--folder", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert done.stderr == "controls: draws must be at least 1, got 0.\n"
    assert done.stdout == ""


@pytest.mark.parametrize(
    "arguments", [("nope",), ("demo", "--draws", "many"), ("calibrate", "--jobs", "0"), ("run",), ()]
)
def test_unknown_words_are_bad_input(arguments):
    assert start(*arguments).exit_code == 3


def test_demo_hands_on_its_arguments(monkeypatch, tmp_path):
    calls = []
    monkeypatch.setattr(controls.demo.run, "run", lambda *given, **named: calls.append((given, named)))
    done = start("demo", "--draws", "19", "--file-draws", "99", "--folder", str(tmp_path), "--seed", "4")
    assert done.exit_code == 0
    assert calls == [((19, tmp_path, 4), {"model_draws": None, "file_draws": 99})]


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (KeyboardInterrupt(), 130, "controls: interrupted.\n"),
        (InputError("draws must be at least 1, got 0."), 3, "controls: draws must be at least 1, got 0.\n"),
    ],
)
def test_errors_and_interrupts_are_one_line(monkeypatch, error, code, line):
    def fail(*_given, **_named):
        raise error

    monkeypatch.setattr(controls.demo.run, "run", fail)
    done = start("demo")
    assert (done.exit_code, done.stderr, done.stdout) == (code, line, "")


def test_a_bug_is_neither_a_failed_claim_nor_bad_input(monkeypatch):
    def fail(*_given, **_named):
        raise ZeroDivisionError("of ours")

    monkeypatch.setattr(controls.demo.run, "run", fail)
    done = start("demo")
    assert done.exit_code == 4
    assert "ZeroDivisionError: of ours" in done.stderr
    assert "a bug in controls" in done.stderr


@pytest.mark.parametrize(("passed", "code"), [(True, 0), (False, 1)])
def test_calibrate_leaves_with_1_where_calibration_fails(monkeypatch, tmp_path, passed, code):
    calls = []

    def run(**given):
        calls.append(given)
        return passed

    import controls.testing

    module = types.SimpleNamespace(run=run)
    monkeypatch.setitem(sys.modules, "controls.testing.calibrate", module)
    monkeypatch.setattr(controls.testing, "calibrate", module, raising=False)
    page, counts = tmp_path / "a.md", tmp_path / "b.json"
    places = ("--docs", str(page), "--json", str(counts))
    done = start("calibrate", "--short", *places, "--jobs", "2", "--only", "a", "--only", "b")
    assert done.exit_code == code
    assert calls == [{"short": True, "docs": page, "json": counts, "jobs": 2, "only": ["a", "b"]}]


def test_list_shows_every_control_with_all_it_says():
    done = start("list")
    text = re.sub(r"\s+", " ", done.stdout)
    assert done.exit_code == 0
    names = [entry.name for entry in catalogue()]
    assert {"ShuffleLabels", "ControlTask", "ResampleLabels", "FlipSigns"} <= set(names)
    for entry in catalogue():
        for words in (entry.name, entry.keeps, entry.destroys, entry.null, entry.inference, entry.licenses):
            assert words
            assert words in text


def test_catalogue_has_each_control_once_and_as_it_says_itself():
    from controls.generators import ControlTask

    entries = {entry.name: entry for entry in catalogue()}
    assert len(entries) == len(catalogue())
    task = entries["ControlTask"]
    assert task.example == "ControlTask(per='word')"
    assert task.null == ControlTask(per="word").null
    assert "context: int = 0" in task.parameters
    assert task.parameters[0].startswith("per: ")
    assert "=" not in task.parameters[0]
