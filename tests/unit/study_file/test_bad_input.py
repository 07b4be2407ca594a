"""Bad input leaves with 3, in one line that names the place and what to do, before anything is measured."""

import sys

import numpy as np
import pytest

from controls.study_file.names import importable

LAMBDA = "fit = lambda X, y: (lambda new: [y[0]] * len(new))\n"
FUNCTIONS = """
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

pipeline = make_pipeline(StandardScaler(), LogisticRegression())
number = 3


def fit(X, y, *, weight=1.0):
    return LogisticRegression(C=weight).fit(X, y)


def breaks(X, y):
    raise RuntimeError("no luck")


def leaves(X, y):
    raise SystemExit(0)
"""
CONTROL = '[[controls]]\nuse = "ShuffleLabels"\nwithin = "document"\n'
RIDGE = 'use = "RidgeProbe"\nalpha = 2.0'

CASES = {
    "unknown key": (("scoring =", "scorring ="), 2, "key 'scorring' is not known", "Did you mean 'scoring'?"),
    "unknown key of data": (("labels =", "label ="), 7, "key 'label' is not known", "Did you mean 'labels'?"),
    "unknown control": (
        ('"ShuffleLabels"', '"ShufleLabels"'),
        19,
        "control 'ShufleLabels' is not known",
        "'ShuffleLabels'?",
    ),
    "unknown parameter": (("within =", "witin ="), 20, "parameter of ShuffleLabels 'witin'", "Did you mean 'within'?"),
    "kind of a parameter": (
        ('within = "document"', "within = 3"),
        20,
        "within of ShuffleLabels must be a text",
        "got 3",
    ),
    "a switch that is a text": (
        ('within = "document"', 'blocks = "yes"'),
        20,
        "blocks of ShuffleLabels must be true or false",
        "",
    ),
    "what TOML cannot write": (
        ("within =", "exchangeability ="),
        20,
        "'exchangeability' is not known",
        "whole, within",
    ),
    "control refuses": (('within = "document"', "blocks = true"), 20, "blocks=True", "needs whole="),
    "control needs": (
        ('use = "ShuffleLabels"\nwithin = "document"', 'use = "ControlTask"'),
        18,
        "ControlTask needs per",
        "",
    ),
    "unknown group": (('within = "document"', 'within = "documnt"'), 18, "group 'documnt' is not known", "'document'?"),
    "trainer by dots": (
        (RIDGE, 'use = "sklearn.svm.LinearSVC"'),
        15,
        "trainer 'sklearn.svm.LinearSVC'",
        "sklearn.svm:LinearSVC",
    ),
    "unknown trainer": (
        (RIDGE, 'use = "RigdeProbe"'),
        15,
        "trainer 'RigdeProbe' is not known",
        "Did you mean 'RidgeProbe'?",
    ),
    "trainer's range": (("alpha = 2.0", "alpha = -1"), 16, "alpha must be above 0", "got -1"),
    "trainer's kind": (("alpha = 2.0", 'alpha = "strong"'), 16, "alpha of RidgeProbe must be a number", "'strong'"),
    "no such module": ((RIDGE, 'use = "nowhere_at_all:fit"'), 15, "no module 'nowhere_at_all'", "cannot be imported"),
    "no such name": (
        (RIDGE, 'use = "own_trainers:fitt"'),
        15,
        "in own_trainers, the name 'fitt'",
        "Did you mean 'fit'?",
    ),
    "not a trainer": (
        (RIDGE, 'use = "own_trainers:number"'),
        14,
        "must be a class, an estimator or a function",
        "got int",
    ),
    "parameter of a function": (
        (RIDGE, 'use = "own_trainers:fit"\nweigth = 2'),
        16,
        "parameter of own_trainers:fit 'weigth'",
        "'weight'?",
    ),
    "parameter of a class": (
        (RIDGE, 'use = "sklearn.linear_model:LogisticRegression"\nc = 2'),
        16,
        "LogisticRegression 'c' is not known",
        "C, ",
    ),
    "parameter of an estimator": (
        (RIDGE, 'use = "own_trainers:pipeline"\nlogisticregression__CC = 2'),
        16,
        "'logisticregression__CC'",
        "__C'?",
    ),
    "module that fails": ((RIDGE, 'use = "own_broken:fit"'), 15, "own_broken fails with ZeroDivisionError", ""),
    "lambda without key": ((RIDGE, 'use = "own_lambda:fit"'), 15, "is a lambda", 'write key = "..."'),
    "number for a text": (('scoring = "roc_auc"', "scoring = 3"), 2, "scoring must be a text", "got a whole number 3"),
    "true for a number": (("draws = 39", "draws = true"), 3, "draws must be a whole number", "got the value True"),
    "range of a setting": (("draws = 39", "draws = 0"), 3, "draws must be at least 1", "got 0"),
    "unknown scorer": (('"roc_auc"', '"roc_acu"'), 2, "roc_acu", "Did you mean 'roc_auc'?"),
    "unknown unit": (('unit = "document"', 'unit = "doc"'), 8, "unit 'doc' is not known", "there are: document, word"),
    "one table": (("[[controls]]", "[controls]"), 18, "controls must be a list of tables", "write [[controls]]"),
    "no controls": ((CONTROL, ""), 1, "controls is missing", "[[controls]]"),
    "no trainer": (("[trainer]\n" + RIDGE, ""), 1, "trainer is missing", "[trainer]"),
    "no labels": (('labels = "names.csv:role"\n', ""), 5, "labels are missing", "file:column"),
    "no data file": (("acts.npy", "act.npy"), 6, "is not there", "Did you mean 'acts.npy'?"),
    "no column": (("names.csv:role", "names.csv:rolle"), 7, "column of 'names.csv' 'rolle'", "Did you mean 'role'?"),
    "rows of labels": (
        ("names.csv:role", "short.csv:role"),
        5,
        "labels 'short.csv:role' has 239",
        "activations has 240",
    ),
    "rows of a group": (("names.csv:word", "short.csv:word"), 5, "group 'word' has 239", "group 'document' has 240"),
    "numbers that are missing": (("acts.npy", "nan.npy"), 6, "activations must be finite", "row 7"),
    "correction": (("draws = 39", 'draws = 39\ncorrection = "sidak"'), 4, "correction must be one of", "'holm'"),
    "labels that are constant": (("names.csv:role", "short.npy"), 7, "labels must not be constant", ""),
}


@pytest.fixture
def surroundings(folder, data):
    """Files that bad study files name."""
    rows = (folder / "names.csv").read_text().splitlines()
    (folder / "short.csv").write_text("\n".join(rows[:-1]) + "\n")
    np.save(folder / "short.npy", np.zeros(240, dtype=int))
    holey = data.X.copy()
    holey[7, 2] = np.nan
    np.save(folder / "nan.npy", holey)
    (folder / "own_trainers.py").write_text(FUNCTIONS)
    (folder / "own_lambda.py").write_text(LAMBDA)
    (folder / "own_broken.py").write_text("1 / 0\n")
    return folder


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_one_line_that_names_the_place(surroundings, changed, start, case):
    replaced, line, words, advice = CASES[case]
    done = start("run", changed(replaced))
    assert (done.code, done.out) == (3, "")
    assert done.err.count("\n") == 1
    assert f"study.toml, line {line}: " in done.err
    assert words in done.err
    assert advice in done.err
    assert not (surroundings / "study.run").exists()


@pytest.mark.parametrize("command", ["run", "plan"])
def test_files_that_are_no_study_files(folder, start, command):
    (folder / "broken.toml").write_text('title = "x"\nscoring = \n')
    (folder / "latin.toml").write_bytes('title = "Rôle"'.encode("latin-1"))
    for name, words in {
        "gone.toml": "cannot be read (No such file or directory)",
        "broken.toml": "is not TOML: Invalid value (at line 2",
        "latin.toml": "must be a text in UTF-8",
        "": "cannot be read (Is a directory)",
    }.items():
        done = start(command, folder / name)
        assert done.code == 3
        assert words in done.err
        assert done.err.count("\n") == 1


def test_claims_name_their_lines(changed, start):
    sites = ('activations = "acts.npy"', 'activations = { noise = "noise.npy" }')
    for added, line, words in (
        ('[claims.a]\nlabel = "x"\n', 22, "Did you mean 'labels'?"),
        ('[claims.a]\nsite = "noisy"\n', 22, "site 'noisy' is not known"),
        ('[claims.a]\ndraws = "many"\n', 22, "draws must be a whole number"),
        ('[claims.a]\n[claims.a.trainer]\nuse = "Nope"\n', 23, "trainer 'Nope' is not known"),
        ('[claims.a]\n[[claims.a.controls]]\nuse = "Nope"\n', 23, "control 'Nope' is not known"),
        ('[claims.a]\ncontrols = [\n  { use = "ShuffleLabels" },\n  { use = "No" },\n]\n', 24, "'No' is not known"),
        ("[claims]\n", 21, "claims must name at least one claim"),
    ):
        done = start("run", changed(sites, added=added))
        assert done.code == 3
        assert f"line {line}: " in done.err
        assert words in done.err


def test_no_import_refuses_trainers_controls_and_scoring_by_module(changed, start):
    for replaced in (
        (RIDGE, 'use = "sklearn.linear_model:LogisticRegression"'),
        ('"roc_auc"', '"sklearn.metrics:make_scorer"'),
        ('"ShuffleLabels"', '"controls.generators.labels:ShuffleLabels"'),
    ):
        done = start("run", changed(replaced), "--no-import")
        assert done.code == 3
        assert "with --no-import nothing is imported" in done.err
    assert start("run", changed(), "--no-import").code == 0


def test_no_import_does_not_look_for_modules_beside_the_study_file(folder):
    (folder / "polars.py").write_text("raise SystemExit('imported')")
    with importable(folder, imports=False):
        assert str(folder) not in sys.path
    with importable(folder, imports=True):
        assert sys.path[-1] == str(folder)  # last: no file here stands in for an installed package
    assert str(folder) not in sys.path


def test_a_trainer_that_fails_is_bad_input_with_its_reason(surroundings, changed, start):
    study = changed((RIDGE, 'use = "own_trainers:breaks"'))
    done = start("run", study)
    assert done.code == 3
    assert "breaks failed with RuntimeError: no luck" in done.err
    assert "Traceback" not in done.err
    shown = start("run", study, "--traceback")
    assert "raise RuntimeError" in shown.err


def test_code_that_leaves_by_itself_is_not_read_as_a_verdict(surroundings, changed, start):
    done = start("run", changed((RIDGE, 'use = "own_trainers:leaves"')))
    assert done.code == 3
    assert "left by sys.exit(0)" in done.err
    (surroundings / "own_exit.py").write_text("raise SystemExit(0)\n")
    done = start("run", changed((RIDGE, 'use = "own_exit:fit"')), "--out", surroundings / "b")
    assert done.code == 3
    assert "own_exit fails with SystemExit: 0" in done.err


@pytest.mark.parametrize("option", ["--junit", "--summary", "--parquet"])
@pytest.mark.parametrize(("place", "words"), [("", "it is a folder"), ("acts.npy/x", "cannot be written")])
def test_reports_that_could_not_be_written_are_refused_first(folder, start, option, place, words):
    if option == "--parquet":
        pytest.importorskip("polars")
    done = start("run", folder / "study.toml", option, folder / place)
    assert done.code == 3
    assert words in done.err
    assert done.out == ""
    assert not (folder / "study.run").exists()


def test_reports_that_lack_a_package_are_refused_first(folder, start, monkeypatch):
    monkeypatch.setitem(sys.modules, "polars", None)
    done = start("run", folder / "study.toml", "--parquet", folder / "x.parquet")
    assert done.code == 3
    assert 'pip install "controls[parquet]"' in done.err
    assert not (folder / "study.run").exists()


@pytest.mark.parametrize("command", ["run", "plan"])
def test_no_jobs_at_all_are_refused_first(folder, start, command):
    done = start(command, folder / "study.toml", "--jobs", 0)
    assert done.code == 3
    assert done.err == "controls: n_jobs must be a whole number other than 0, or None, got 0.\n"
    assert not (folder / "study.run").exists()


def test_commands_to_a_terminal_in_names_are_spelled_out(changed, start):
    study = changed(('title = "Role of names"', 'title = "a\\u001b[2Jb"'))
    for command in ("plan", "run"):
        done = start(command, study)
        assert done.code == 0
        assert "\x1b" not in done.out + done.err
        assert "a\\x1b[2Jb" in done.out


@pytest.mark.parametrize(
    ("use", "name"),
    [
        ('use = "own_trainers:fit"\nweight = 0.5', "fit(weight=0.5)"),
        ('use = "own_trainers:fit"', "fit"),
        ('use = "sklearn.linear_model:LogisticRegression"\nC = 0.5', "LogisticRegression(C=0.5)"),
        ('use = "own_trainers:pipeline"\nlogisticregression__C = 0.5', "LogisticRegression(C=0.5)"),
        ('use = "LogisticProbe"\nC = 0.5', "LogisticProbe(C=0.5)"),
    ],
)
def test_trainers_get_their_parameters(surroundings, changed, start, use, name):
    done = start("plan", changed((RIDGE, use)), "--no-timing")
    assert done.code == 0, done.err
    assert name in done.out


def test_a_lambda_with_a_key_runs(surroundings, changed, start):
    study = changed(
        (RIDGE, 'use = "own_lambda:fit"'), ("draws = 39", 'draws = 4\nkey = "first try"'), ('"roc_auc"', '"accuracy"')
    )
    assert start("run", study).code == 2


def test_composed_controls(changed, start):
    parts = '{ use = "ShuffleLabels", within = "document" }, { use = "ShuffleLabels", within = "word" }'
    study = changed((CONTROL, f'[[controls]]\nuse = "compose"\nparts = [{parts}]\n'))
    done = start("plan", study, "--no-timing")
    assert "compose(ShuffleLabels(within='document'), ShuffleLabels(within='word'))" in done.out
