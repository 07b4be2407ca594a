"""Lines of keys, against a brute-force oracle: the text up to a key, cut at each line, first parses with it there."""

import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controls.study_file.positions import lines_of

UGLY = '''\
# a comment with [brackets] and "quotes
"title with = and # and ]" = "a \\" quote # no comment" # [no.table]
a.b."c.d" = 1

[data] # here
text = """
[not.a.table]
x = 1 \\""" and ""quotes"""""
raw = \'\'\'it\'s
[[nor.this]]\'\'\'
empty = []
list = [ # begins
  1, [2,
  3], { x = 1, "y z" = [4,] }, # trailing comma
]
when = 1979-05-27 07:32:00Z
inline = { p.q = 1, r = { s = \'}\' } }
  [ data . "inner table" ]
  k = -inf
[[controls]]
use = "a"
[controls.deep]
x = 1
[[controls.many]]
y = 1
[[controls.many]]
y = 2
[[controls]]
use = "b"
[[controls.many]]
y = 3
'''


def test_lines_of_an_ugly_file():
    lines = lines_of(UGLY)
    expected = {
        ("title with = and # and ]",): 2,
        ("a", "b", "c.d"): 3,
        ("data",): 5,
        ("data", "text"): 6,
        ("data", "raw"): 9,
        ("data", "empty"): 11,
        ("data", "list"): 12,
        ("data", "list", 1, 1): 14,
        ("data", "list", 2, "y z", 0): 14,
        ("data", "when"): 16,
        ("data", "inline", "p", "q"): 17,
        ("data", "inline", "r", "s"): 17,
        ("data", "inner table", "k"): 19,
        ("controls",): 20,
        ("controls", 0, "use"): 21,
        ("controls", 0, "deep", "x"): 23,
        ("controls", 0, "many", 1, "y"): 27,
        ("controls", 1, "use"): 29,
        ("controls", 1, "many", 0): 30,
        ("controls", 1, "many", 0, "y"): 31,
    }
    assert {path: lines.get(path) for path in expected} == expected


def paths_in(value, path=()):
    yield path
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield from paths_in(part, (*path, key))


def test_every_value_of_the_file_has_a_line():
    assert set(paths_in(tomllib.loads(UGLY))) - {()} == set(lines_of(UGLY))


_keys = st.text("ab.#='\"]", min_size=1, max_size=3)
_values = st.recursive(
    st.integers(-9, 9) | st.text("x#[]{}=,'\"\\\n", max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=3),
    max_leaves=8,
)


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def written(value, breaks):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quoted(key)} = {written(part, False)}" for key, part in value.items()) + "}"
    if isinstance(value, list):
        between = ",\n" if breaks else ", "
        return "[" + between.join(written(part, breaks) for part in value) + "]"
    return quoted(value) if isinstance(value, str) else str(value)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(_keys, _values), max_size=4, unique_by=lambda pair: pair[0]))
def test_whatever_is_written_is_found_on_the_line_where_it_was_written(pairs):
    text, expected = "", {}
    for key, value in pairs:
        expected[key,] = text.count("\n") + 1
        text += f"{quoted(key)} = {written(value, True)} # ]\n"
    lines = lines_of(text)
    assert {path: lines[path] for path in expected} == expected
    assert set(lines) == set(paths_in(tomllib.loads(text))) - {()}


@pytest.mark.parametrize("text", ["", "\n\n# nothing", "a = 1"])
def test_short_files(text):
    assert lines_of(text) == ({("a",): 1} if text.startswith("a") else {})
