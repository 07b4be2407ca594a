"""The frozen record: what it keeps, copies, and refuses."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

import controls as ct
from controls.core.errors import NameNotFound

RNG = np.random.default_rng(11)
X = RNG.standard_normal((10, 3)).astype(np.float32)
Y = np.array(["b", "a", "c", "a", "b", "b", "c", "a", "a", "b"])
DOCUMENT = [3, 1, 1, 7, 3, 7, 7, 3, 1, 7]


def problem(**changes):
    given = {"groups": {"document": DOCUMENT, "word": list("xyzxyzxyzx")}, "unit": "document"}
    return ct.Problem(X, Y, **{**given, **changes})


def test_facts():
    p = problem()
    assert (p.n, p.d, p.n_units, p.unit_name, p.target, p.sites) == (10, 3, 3, "document", "multiclass", ())
    assert p.classes.tolist() == ["a", "b", "c"]
    np.testing.assert_array_equal(p.classes[p.label_codes], Y)
    assert p.unit_codes.tolist() == [1, 0, 0, 2, 1, 2, 2, 1, 0, 2]
    assert problem(unit=None).n_units == 10
    assert problem(unit=None).unit_name == "rows"
    assert "d=3" in repr(p)
    assert "3 units" in repr(p)


def test_arrays_are_kept_without_a_copy_and_cannot_be_written_to():
    p = problem()
    assert np.shares_memory(p.activations, X)
    with pytest.raises(ValueError, match="read-only"):
        p.activations[0, 0] = 1.0
    with pytest.raises(ValueError, match="read-only"):
        p.labels[0] = "z"
    with pytest.raises(FrozenInstanceError):
        p.labels = Y
    assert X.flags.writeable


def test_take_keeps_rows_together():
    p, rows = problem(), np.array([7, 2, 2, 9])
    part = p.take(rows)
    np.testing.assert_array_equal(part.X, X[rows])
    np.testing.assert_array_equal(part.labels, Y[rows])
    assert part.groups["document"].tolist() == [3, 1, 1, 7]
    assert part.unit_codes.tolist() == [1, 0, 0, 2]  # numbered anew
    assert p.unit_codes[7] == 1
    assert part.classes.tolist() == ["a", "b", "c"]
    assert p.take(np.array([1, 3])).classes.tolist() == ["a"]


def test_other_labels_forget_what_was_computed_from_the_old():
    p = problem()
    assert p.target == "multiclass"
    other = p.with_labels(np.arange(10) % 2)
    assert (other.target, other.classes.tolist(), p.target) == ("binary", [0, 1], "multiclass")
    assert other.activations is p.activations


def test_memo_is_made_once_and_not_shared():
    p, calls = problem(), []
    for _ in range(3):
        p.memo("key", lambda: calls.append(1))
    p.with_labels(Y).memo("key", lambda: calls.append(1))
    assert len(calls) == 2


def test_pickles():
    p = problem()
    _ = p.unit_codes
    again = pickle.loads(pickle.dumps(p))
    np.testing.assert_array_equal(again.X, p.X)
    assert again.classes.tolist() == p.classes.tolist()
    assert repr(again) == repr(p)


def test_sites():
    p = ct.Problem({"early": X, "late": X[:, :2] * 2}, Y)
    assert (p.sites, p.n, p.d) == (("early", "late"), 10, 3)
    assert p.at("late").X.shape == (10, 2)
    assert p.take(np.arange(4)).at("late").X.shape == (4, 2)
    assert ct.Problem({"only": X}).X.shape == (10, 3)
    with pytest.raises(ct.InputError, match=r"2 sites \(early, late\) where one is needed"):
        _ = p.X
    with pytest.raises(NameNotFound, match="Did you mean 'late'"):
        p.at("lat")
    with pytest.raises(ct.InputError, match="must keep their 10 rows"):
        p.with_activations(X[:4])


def test_unknown_names_are_told_the_nearest():
    with pytest.raises(
        NameNotFound, match=r"unit 'documents' is not known; there are: document, word. Did you mean 'docu"
    ):
        problem(unit="documents")
    with pytest.raises(NameNotFound, match=r"group 'wrod' is not known.*Did you mean 'word'"):
        problem().codes("wrod")
    with pytest.raises(KeyError):
        problem().codes("speaker")
    with pytest.raises(ValueError, match="there are none"):
        ct.Problem(X, Y).codes("document")
    for control in (ct.ShuffleLabels(within="dokument"), ct.ControlTask(per="dokument"), ct.FlipSigns("dokument")):
        with pytest.raises(NameNotFound, match="Did you mean 'document'"):
            control.check(ct.Problem(X, np.arange(10.0), groups={"document": DOCUMENT}))


def test_source_is_extracted_once():
    calls = []

    def extract(model, inputs):
        calls.append(model)
        return np.asarray(inputs, dtype=float)[:, None] * model

    p = ct.Problem(labels=[0, 1, 1], source=ct.Source(2.0, [1, 2, 3], extract))
    assert p.X.tolist() == [[2.0], [4.0], [6.0]]
    p.with_labels(np.array([1, 0, 1])).take(np.array([0])).X.sum()
    assert calls == [2.0]


@pytest.mark.parametrize(
    ("labels", "target"),
    [
        (None, "none"),
        ([0.0, 1.0] * 5, "binary"),
        ([0.5] * 10, "binary"),
        (np.arange(10), "multiclass"),
        (np.arange(10.0), "continuous"),
        ([True, False] * 5, "binary"),
        (np.eye(10, dtype=bool)[:, :4], "multilabel"),
    ],
)
def test_target(labels, target):
    assert ct.Problem(X, labels).target == target


def test_controls_on_labels_refuse_problems_without_labels():
    for control in (
        ct.ShuffleLabels(),
        ct.ShuffleLabels(within="document"),
        ct.ShuffleLabels(whole="document"),
        ct.ShuffleLabels(whole="document", blocks=True),
        ct.FlipSigns(),
        ct.ControlTask(per="word"),
        ct.ResampleLabels(within="document"),
    ):
        given = ct.Problem(X, groups=problem().groups)
        with pytest.raises(ct.InputError, match="labels must be given for a control on labels, got None; give"):
            control.check(given)


def test_study_refuses_what_is_no_battery():
    study = {"trainer": None}
    with pytest.raises(TypeError, match=r"got the class ShuffleLabels; write ShuffleLabels\(\)"):
        ct.Study(controls=ct.ShuffleLabels, **study)
    with pytest.raises(ct.InputError, match="must be a sequence of controls, got None"):
        ct.Study(controls=None, **study)
    with pytest.raises(ct.InputError, match="at least one control, got none"):
        ct.Study(controls=[], **study)
    with pytest.raises(ct.InputError, match="got str"):
        ct.Study(controls="ShuffleLabels", **study)
    with pytest.raises(ct.InputError, match="got the same one twice"):
        ct.Study(controls=[ct.ShuffleLabels(), ct.ShuffleLabels()], **study)
    assert ct.Study(controls=ct.ShuffleLabels(), **study).controls == (ct.ShuffleLabels(),)
