"""Text of users is text in every format: no markup, no command to a terminal, no file that cannot be read."""

from __future__ import annotations

import dataclasses
import html
import io
import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from enum import Enum
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from controls import report
from controls.report.escape import printable

NASTY = (
    "<script>alert(1)</script>",
    "]]>",
    "[red]bold[/red]",
    "\x1b[31mred",
    "\x1b]0;title\x07",
    "\x9b31m",
    "|",
    "`",
    "\n# heading",
    "\r\x00\x08",
    "@team",
    "a](javascript:alert(1))",
    "![x](//a.b/c)",
    "\ud800",
    "\uffff",
    "\u202egnp",
    "\u2028",
    '" onload="x',
    "' x='",
    "&amp;&lt;",
    "--><svg onload=x>",
    "<!--",
    "$x^2$",
    "{{ 1 }}{% raw %}",
    "::error::x",
    "%0A",
    "é 层",
)


def poisoned(value: Any, text: str) -> Any:
    """Return a record in which every text, also in names, carries a text at its end; names stay different."""
    if isinstance(value, str) and not isinstance(value, Enum) and value not in ("exact", "ensemble"):
        return value + text
    if isinstance(value, tuple):
        return tuple(poisoned(part, text) for part in value)
    if isinstance(value, Mapping):
        return {poisoned(name, text): poisoned(part, text) for name, part in value.items()}
    if dataclasses.is_dataclass(value):
        return dataclasses.replace(
            value, **{item.name: poisoned(getattr(value, item.name), text) for item in dataclasses.fields(value)}
        )
    return value


def terminal(record: Any) -> str:
    console = Console(file=io.StringIO(), force_terminal=True, color_system="standard", width=120)
    report.print_result(record, console)
    return re.sub(r"\x1b\[[\d;]*m", "", console.file.getvalue())  # type: ignore[attr-defined]


FORMATS: dict[str, Callable[[Any], str]] = {
    "text": report.as_text,
    "repr": repr,
    "terminal": terminal,
    "html": report.as_html,
    "fragment": report.as_html_fragment,
    "junit": report.as_junit,
    "markdown": report.as_markdown,
    "annotations": report.as_annotations,
    "json": report.as_json,
}
LIGHT = [name for name in FORMATS if name != "html"]  # without a figure


class Tags(HTMLParser):
    """Gathers tags with the names of their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, tuple[str, ...]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, tuple(name for name, _ in attrs)))

    def handle_comment(self, data: str) -> None:
        self.found.append(("a comment", ()))


def without_figure(page: str) -> str:
    return re.sub(r"(<svg).*?(</svg>)", r"\1>\2", page, flags=re.DOTALL)


def attributes(page: str) -> set[str]:
    return {attribute for _, names in Tags(page).found for attribute in names}


def assert_only_text_and_breaks(shown: str) -> None:
    bad = {character for character in shown if unicodedata.category(character) in ("Cc", "Cs", "Cn", "Zl", "Zp")}
    assert bad <= {"\n", "\t"}
    assert not re.search("[\u202a-\u202e\u2066-\u2069]", shown)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("kind", ["result", "sweep"])
def test_nasty_text_is_only_text_in_every_format(build: Any, name: str, kind: str) -> None:
    harmless, record = (poisoned(getattr(build, kind)(), text) for text in (" word", " ".join(NASTY)))
    shown = FORMATS[name](record)
    shown.encode("utf-8")
    if name != "json":
        assert_only_text_and_breaks(shown)
    if name in ("html", "fragment"):
        plain = FORMATS[name](harmless)
        assert Tags(without_figure(shown)).found == Tags(without_figure(plain)).found
        assert {tag for tag, _ in Tags(shown).found} == {tag for tag, _ in Tags(plain).found}
        assert attributes(shown) <= attributes(plain) | {"transform"}  # names of sites are turned where they are long
    if name == "junit":
        assert ElementTree.fromstring(shown.encode("utf-8")).tag == "testsuites"


@pytest.mark.parametrize("name", LIGHT)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.one_of(st.sampled_from(NASTY), st.text(st.characters(exclude_categories=()), max_size=20)))
def test_any_text_can_be_shown_in_every_format(build: Any, name: str, text: str) -> None:
    shown = FORMATS[name](poisoned(build.result(), text))
    shown.encode("utf-8")
    if name != "json":
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]", shown)


def test_text_of_the_terminal_is_literal(build: Any) -> None:
    shown = terminal(build.result(title="[bold]a[/bold] \x1b[31mb :smile: [link=x]c"))
    assert r"[bold]a[/bold] \x1b[31mb :smile: [link=x]c" in shown


@pytest.mark.parametrize("shown", [report.as_text, terminal, repr])
def test_a_table_in_a_log_of_github_holds_no_command(build: Any, shown: Callable[[Any], str]) -> None:
    for text in ("::error::x", "::", "##[add-mask]x", ":::stop-commands::::"):
        found = shown(poisoned(build.result(title=text), f" {text} " + "x" * 90 + text))
        assert "::" not in found
        assert "##[" not in found


def test_a_figure_and_its_page_take_any_text_without_a_warning(build: Any) -> None:
    comparison = dataclasses.replace(build.comparison(), control="层 \x00 \ud800 $x$ <b>")
    record = build.result(comparison, title="层", metric="层\x1b")
    drawing = report.as_html(record)
    drawing = drawing[drawing.index("<svg") : drawing.index("</svg>") + 6]
    assert ElementTree.fromstring(drawing).tag == "svg"
    assert "层 \\x00 \\ud800 $x$ <b>" in html.unescape(drawing)
    assert report.plot(record).axes


def test_the_title_of_a_page_is_only_text(build: Any, tmp_path: Path) -> None:
    path = report.save_page([build.result(), build.result()], tmp_path / "page.html", " ".join(NASTY))
    plain = report.as_html([build.result(), build.result()], title="word")
    assert Tags(path.read_text(encoding="utf-8")).found == Tags(plain).found


@pytest.mark.parametrize("text", NASTY)
def test_json_files_keep_any_text_as_it_was(build: Any, tmp_path: Path, text: str) -> None:
    result = build.result(title=text)
    written = report.as_json(result, tmp_path / "result.json")
    json.loads(written)
    assert report.from_json(tmp_path / "result.json").title == text


def test_saving_takes_any_text_and_leaves_the_record_alone(build: Any, tmp_path: Path) -> None:
    result = poisoned(build.result(), "\ud800\x1b")
    before = dataclasses.astuple(result)
    page = report.save(result, tmp_path)
    assert page.read_text(encoding="utf-8").count("\\ud800\\x1b") > 10
    assert repr(dataclasses.astuple(result)) == repr(before)


def test_printable_changes_nothing_else() -> None:
    for text in ("plain", "tab\tand\nline", "é 层 עברית 🙂 −≈✓", ""):
        assert printable(text) == text
    assert printable("\r\x7f\x85\u2029\udfff\ufffe") == r"\x0d\x7f\x85\u2029\udfff\ufffe"
