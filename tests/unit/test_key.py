"""Content keys: the same exactly where the content is the same; refused where there is none."""

from __future__ import annotations

import importlib
import linecache
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import controls as ct
from controls.core.key import NoContent, content_key


def top_level(X, y):
    return X


def another(X, y):
    return X


def test_different_contents_have_different_keys():
    values = [
        None, 0, 1, True, 1.0, "1", b"1", (), [], {}, (1,), [1], {1}, frozenset({1}), {"a": 1}, {"a": 2}, {"b": 1},
        ("a", 1), ("a,1",),
        np.array([1, 2]), np.array([1.0, 2.0]), np.array([[1, 2]]), np.array([2, 1]), np.array(1), np.array(["1", "2"]),
        ct.ShuffleLabels(), ct.ShuffleLabels(within="a"), ct.ShuffleLabels(whole="a"), ct.FlipSigns(),
        ct.ResampleLabels(), ct.compose(ct.ShuffleLabels(), ct.FlipSigns()),
        ct.compose(ct.FlipSigns(), ct.ShuffleLabels()),
        LogisticRegression(), LogisticRegression(C=2.0), make_pipeline(StandardScaler(), LogisticRegression()),
        make_pipeline(StandardScaler(), LogisticRegression(C=2.0)), LogisticRegression,
        top_level, another, partial(top_level, y=1), partial(top_level, y=2), partial(another, y=1),
    ]  # fmt: skip
    keys = [content_key(value) for value in values]
    assert len(set(keys)) == len(values)


def test_equal_contents_have_equal_keys():
    array = np.arange(24.0).reshape(4, 6)
    assert content_key(array) == content_key(np.asfortranarray(array)) == content_key(array[::-1][::-1])
    assert content_key({3, 1, 2}) == content_key({2, 3, 1})
    assert content_key(ct.ControlTask(per=["word"])) == content_key(ct.ControlTask(per="word"))
    assert content_key(LogisticRegression(C=2.0)) == content_key(LogisticRegression().set_params(C=2.0))


def test_large_arrays_are_read_to_the_end():
    array = np.zeros((5, 1 << 20))
    changed = array.copy()
    changed[-1, -1] = 1.0
    assert content_key(array) != content_key(changed)


def test_arrays_of_objects_are_read_by_value():
    def made(last):
        return np.array(["a" * 30, 10**6, last], dtype=object)

    assert content_key(made("x" * 50)) == content_key(made("x" * 49 + "x"))
    assert content_key(made("x")) != content_key(made("y"))
    with pytest.raises(NoContent):
        content_key(np.array([object()]))


def test_another_process_makes_the_same_key():
    code = (
        "import numpy as np, controls as ct; from controls.core.key import content_key;"
        "print(content_key((ct.ControlTask(per='word'), {'a', 'b', 'c'}, np.arange(3))))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert said == content_key((ct.ControlTask(per="word"), {"a", "b", "c"}, np.arange(3)))


def inner_function():
    def local(X, y):
        return X

    return local


@pytest.mark.parametrize(
    "value",
    [
        lambda X, y: X,
        inner_function(),
        partial(lambda X: X),
        object(),
        np.random.default_rng(0),
        LogisticRegression(random_state=np.random.RandomState(0)),
        {"a": [lambda: 0]},
        GroupKFold().split,
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_has_no_content_is_refused(value):
    with pytest.raises(NoContent, match="key") as error:
        content_key(value)
    assert isinstance(error.value, ct.InputError)


def test_study_without_content_has_no_key_until_given_one():
    study = {"controls": [ct.ShuffleLabels()], "draws": 9}
    assert ct.Study(trainer=lambda X, y: X, **study).content_key is None
    keyed = ct.Study(trainer=lambda X, y: X, key="mine", **study).content_key
    assert keyed is not None
    assert ct.Study(trainer=lambda X, y: X, key="other", **study).content_key != keyed
    assert ct.Study(trainer=lambda X, y: X, key="mine", **{**study, "draws": 19}).content_key != keyed
    plain = ct.Study(trainer=LogisticRegression(), **study)
    assert plain.content_key == ct.Study(trainer=LogisticRegression(), **study).content_key
    assert plain.content_key != ct.Study(trainer=LogisticRegression(C=3), **study).content_key


# -- code of no package: what it names changes its key --------------------------------------------

SOURCES = {
    "a default": "S = {v}\ndef fit(X, y, c=S): return c\n",
    "a default by keyword": "S = {v}\ndef fit(X, y, *, c=S): return c\n",
    "a dict": "S = dict(c={v})\ndef fit(X, y): return S['c']\n",
    "a list in a helper": "S = [{v}]\ndef go(): return S[0]\ndef fit(X, y): return go()\n",
    "an array": "import numpy as np\nS = np.array([{v}])\ndef fit(X, y): return S\n",
    "an object": "class K:\n    def __init__(self, v): self.v = v\nk = K({v})\ndef fit(X, y): return k.v\n",
    "a partial": "from functools import partial\ngo = partial(max, {v})\ndef fit(X, y): return go(y)\n",
    "a helper by its module": "import own_helper\ndef fit(X, y): return own_helper.go()\n",
    "a helper behind a cache": "import functools\n@functools.cache\ndef go(): return {v}\ndef fit(X, y): return go()\n",
    "a property": "def go(): return {v}\nclass K:\n    a = 1\n    @property\n    def p(self): return go()\nfit = K\n",
    "a static method": "def go(): return {v}\nclass K:\n    @staticmethod\n    def p(): return go()\nfit = K\n",
    "a class method": "def go(): return {v}\nclass K:\n    @classmethod\n    def p(cls): return go()\nfit = K\n",
    "data of a class": "S = {v}\nclass K:\n    level = S\nfit = K\n",
    "a class in a function": "def make(v):\n  class K:\n    def p(self): return v\n  return K\nfit = make({v})\n",
    "the second of two lambdas": "a = lambda: 0\nb = lambda: {v}\ndef fit(X, y): return a(), b()\n",
    "a dataclass": (
        "from dataclasses import dataclass, field\nS = {v}\n@dataclass(frozen=True)\nclass K:\n    a: int = S\n"
        "    b: list = field(default_factory=list)\nfit = K\n"
    ),
}


@pytest.fixture
def own_code(tmp_path, monkeypatch):
    """Make a module of a script's kind, anew each time."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def make(source, value):
        for name, text in {"own_helper": "def go(): return {v}\n", "own_script": source}.items():
            (tmp_path / f"{name}.py").write_text(text.replace("{v}", str(value)))
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        linecache.clearcache()
        return importlib.import_module("own_script")

    yield make
    for name in ("own_helper", "own_script"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("name", SOURCES)
def test_what_own_code_names_is_in_its_key(own_code, name):
    one, same, other = (content_key(own_code(SOURCES[name], value).fit) for value in (1, 1, 2))
    assert one == same != other


def test_own_code_that_names_itself_or_what_has_no_content_still_has_a_key(own_code):
    source = (
        "import enum, threading\nlock = threading.Lock()\ndef go(): return {v}\nmixed = [go, lock]\n"
        "class E(enum.Enum):\n    A = 1\n    def p(self): return E.A, chain\nchain = []\nchain.append(chain)\n"
        "class K:\n    def p(self): return k, lock, mixed, go()\nk = K()\ndef fit(X, y): return k, E, lock\n"
    )
    one, same, other = (content_key(own_code(source, value).fit) for value in (1, 1, 2))
    assert one == same != other


def test_a_class_that_holds_what_has_no_content_is_refused(own_code):
    source = "def make(v):\n    class K:\n        def p(self): return v\n    return K\nfit = make(object())\n"
    with pytest.raises(NoContent):
        content_key(own_code(source, 1).fit)


def test_random_streams_do_not_go_by_data_that_functions_name(own_code):
    module = own_code("calls = []\ndef fit(X, y): calls.append({v})\n", 1)
    before = content_key(module.fit, code=False)
    module.fit(None, None)
    assert content_key(module.fit, code=False) == before
    assert content_key(module.fit) != content_key(own_code("calls = []\ndef fit(X, y): calls.append({v})\n", 1).fit)
