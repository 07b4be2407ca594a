"""Records as files come back as they were, and writing never leaves half a file."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import controls as ct
from controls import report
from controls.core.errors import ControlsError, InputError
from controls.core.rng import stream


def assert_same(a: Any, b: Any) -> None:
    """Compare field by field; NaN equals NaN."""
    if dataclasses.is_dataclass(a):
        assert type(a) is type(b)
        for item in dataclasses.fields(a):
            assert_same(getattr(a, item.name), getattr(b, item.name))
    elif isinstance(a, Mapping):
        assert list(a) == list(b)
        for name in a:
            assert_same(a[name], b[name])
    elif isinstance(a, np.ndarray):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    elif isinstance(a, tuple):
        assert isinstance(b, tuple)
        assert len(a) == len(b)
        for one, other in zip(a, b, strict=True):
            assert_same(one, other)
    else:
        assert type(a) is type(b)
        assert a == b or (a != a and b != b)


# -- JSON --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["result", "sweep", "ugly"])
def test_json_comes_back_field_by_field(records: Any, name: str, tmp_path: Path) -> None:
    record = records[name]
    text = report.as_json(record, tmp_path / "new" / "folder" / "file.json")
    for source in (text, tmp_path / "new" / "folder" / "file.json", str(tmp_path / "new" / "folder" / "file.json")):
        assert_same(report.from_json(source), record)


def test_json_keeps_every_bit_of_random_numbers(build: Any) -> None:
    rng = stream(1, "json")
    for _ in range(20):
        scores = rng.standard_normal(7) * 10 ** rng.uniform(-300, 300, 7)
        scores[rng.random(7) < 0.3] = np.nan
        result = build.result(build.comparison(control_scores=scores, p_value=float(rng.random())))
        assert_same(report.from_json(report.as_json(result)), result)


def test_json_is_strict_and_says_its_version(records: Any) -> None:
    def refuse(name: str) -> float:
        raise AssertionError(f"{name} is not JSON")

    for name, record in records.items():
        content = json.loads(report.as_json(record), parse_constant=refuse)
        assert content["schema"] == ("controls.sweep/1" if name == "sweep" else "controls.result/1")
        assert list(content)[1:] == [item.name for item in dataclasses.fields(record)]


def test_infinity_becomes_null_and_then_nan(build: Any) -> None:
    result = build.result(build.comparison(selectivity=build.estimate(0.4, df=math.inf)))
    assert json.loads(report.as_json(result))["comparisons"][0]["selectivity"]["df"] is None
    assert math.isnan(report.from_json(report.as_json(result)).comparisons[0].selectivity.df)


def test_numpy_numbers_in_a_record_are_written(build: Any) -> None:
    comparison = build.comparison(draws=199, score=np.float32(0.5), integrity={"classes": np.int64(7)})
    back = report.from_json(report.as_json(build.result(comparison))).comparisons[0]
    assert (back.score, back.integrity) == (0.5, {"classes": 7.0})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"schema": "controls.result/2"}', "upgrade controls"),
        ('{"schema": "other/1"}', "is not a result of this library"),
        ('{"a": 1}', "got none"),
        ("[1, 2]", "is not a result of this library"),
        ("{broken", "must be JSON written by result.to_json"),
        ('{"schema": "controls.result/1"}', "'title' does not fit"),
        ("no/such/file.json", "file that can be read"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_sentence(text: str, said: str) -> None:
    with pytest.raises(ControlsError, match=re.escape(said)) as caught:
        report.from_json(text)
    assert "\n" not in str(caught.value)


def test_a_field_that_does_not_fit_is_named(build: Any) -> None:
    content = json.loads(report.as_json(build.result()))
    content["comparisons"][1]["draws"] = "many"
    with pytest.raises(InputError, match=r"comparisons\.1\.draws"):
        report.from_json(json.dumps(content))
    content["comparisons"][1]["draws"] = 39
    content["comparisons"][1]["unheard_of"] = 1
    with pytest.raises(InputError, match=r"comparisons\.1\.unheard_of"):
        report.from_json(json.dumps(content))


def test_reports_of_a_file_are_those_of_the_record(build: Any) -> None:
    for record in (build.result(), build.sweep()):
        back = report.from_json(report.as_json(record))
        assert report.as_text(back) == report.as_text(record)
        assert report.as_html(back) == report.as_html(record)


# -- files -------------------------------------------------------------------------------------------


def test_saving_writes_four_files_and_nothing_else(build: Any, tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    page = report.save(build.result(), folder)
    assert page == folder / "report.html"
    assert sorted(path.name for path in folder.iterdir()) == [
        "junit.xml",
        "report.html",
        "result.json",
        "summary.md",
    ]
    assert (folder / "junit.xml").read_text(encoding="utf-8") == report.as_junit(build.result())
    assert (folder / "summary.md").read_text(encoding="utf-8") == report.as_markdown(build.result())
    assert page.read_text(encoding="utf-8") == report.as_html(build.result())
    assert_same(report.from_json(folder), build.result())


def test_a_crash_while_writing_leaves_the_old_file(build: Any, tmp_path: Path, monkeypatch: Any) -> None:
    path = report.save_page(build.result(), tmp_path / "page.html", "first")
    before = path.read_bytes()

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(ControlsError, match="cannot be written \\(No space left on device\\)"):
        report.save_page(build.result(), path, "second")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("path", ["x" * 5000, "a\0b", "nowhere"])
def test_a_path_that_cannot_be_is_one_clear_error(path: str) -> None:
    with pytest.raises(InputError, match="must be JSON text or the path of a file that can be read"):
        ct.load(path)


def test_a_folder_that_cannot_be_made_is_one_clear_error(build: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="cannot be written"):
        report.save(build.result(), tmp_path / "file")


@pytest.mark.parametrize("place", ["ugly", "no_controls", "no_sites", "not_adjusted"])
def test_records_with_holes_are_still_shown(build: Any, place: str) -> None:
    record = {
        "ugly": build.ugly(),
        "no_controls": dataclasses.replace(build.result(), comparisons=()),
        "no_sites": build.sweep(results={}, adjusted_p={}),
        "not_adjusted": build.sweep(adjusted_p={}, title=""),
    }[place]
    assert report.plot(record).axes
    assert report.as_text(record)
    assert len(report.as_html(record)) > len(report.as_html_fragment(record))
    assert_same(report.from_json(report.as_json(record)), record)
