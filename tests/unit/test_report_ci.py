"""Reports for machines that run tests: JUnit XML, the summary of a job, annotations; parsed back by other means."""

from __future__ import annotations

import dataclasses
import math
import re
from collections import Counter
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

import controls as ct
from controls import report
from controls.core.errors import InputError, InputTypeError
from controls.core.result import ClaimVerdict, Verdict
from controls.report import annotations
from controls.report import markdown as summary
from controls.report.escape import markdown, one_line, printable

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=40)  # lone surrogates and controls too


@pytest.fixture(scope="module")
def undecided() -> ct.Result:
    """A real result whose design cannot decide: nine draws."""
    X = np.arange(40.0)[:, None]
    problem = ct.Problem(X, np.repeat([0, 1], 20))
    return ct.measure(ct.probes.RidgeProbe(), problem, controls=[ct.ShuffleLabels()], draws=9)


@pytest.fixture(scope="module")
def several(build: Any) -> dict[str, Any]:
    failing = build.comparison(verdict=Verdict.NEGLIGIBLE, reason="smaller than what matters", licensed=False)
    failed = build.result(failing, verdict=ClaimVerdict.FAILS, reason="surely below")
    return {"held": build.result(), "failed": failed, "sweep": build.sweep(3), "ugly": build.ugly()}


# -- JUnit -------------------------------------------------------------------------------------------

# The rules of the schema junit-10 of Jenkins' xunit plugin, for the elements used: attributes that must be there,
# attributes that may be, and children, in any order.
SCHEMA = {
    "testsuites": ((), ("name", "time", "tests", "failures", "errors"), ("testsuite",)),
    "testsuite": (
        ("name", "tests", "failures", "errors"),
        ("group", "time", "skipped", "timestamp", "hostname", "id", "package", "file", "log", "url"),
        ("testsuite", "properties", "testcase", "system-out", "system-err"),
    ),
    "properties": ((), (), ("property",)),
    "property": (("name", "value"), (), ()),
    "testcase": (
        ("name",),
        ("time", "classname", "group"),
        ("skipped", "error", "failure", "system-out", "system-err"),
    ),
    "failure": ((), ("type", "message"), ()),
    "skipped": ((), ("type", "message"), ()),
    "system-out": ((), (), ()),
}
SUREFIRE_TIME = r"(([0-9]{0,3},)*[0-9]{3}|[0-9]{0,3})*(\.[0-9]*)?"


def valid(xml: str) -> ElementTree.Element:
    root = ElementTree.fromstring(xml.encode("utf-8"))
    for element in root.iter():
        required, optional, children = SCHEMA[element.tag]
        assert set(required) <= set(element.attrib) <= {*required, *optional}
        assert {child.tag for child in element} <= set(children)
        if "time" in element.attrib:
            assert re.fullmatch(SUREFIRE_TIME, element.attrib["time"])
        if element.tag in ("testsuite", "testsuites"):
            for name, tag in (("tests", "testcase"), ("failures", "failure"), ("skipped", "skipped")):
                assert int(element.get(name, len(list(element.iter(tag))))) == len(list(element.iter(tag)))
    return root


def test_junit_fits_the_schema_and_counts_what_it_holds(several: Any) -> None:
    root = valid(report.as_junit(several, file="claims.toml"))
    assert root.attrib == {"name": "controls", "tests": "6", "failures": "1", "errors": "0"}
    suites = {suite.get("name"): suite for suite in root}
    assert list(suites) == list(several)
    assert {suite.get("file") for suite in root} == {"claims.toml"}
    assert [case.get("name") for case in suites["sweep"].iter("testcase")] == ["layer 0", "layer 1", "layer 2"]
    assert float(suites["sweep"].attrib["time"]) == 3 * 75.25


def test_a_claim_that_holds_passes_one_that_fails_fails_and_the_rest_is_skipped(several: Any) -> None:
    cases = {case.get("name"): case for case in valid(report.as_junit(several)).iter("testcase")}
    assert [child.tag for child in cases["held"]] == ["system-out"]
    assert cases["failed"][0].tag == "failure"
    assert cases["failed"][0].attrib == {
        "type": "FAILS",
        "message": "Surely below. ShuffleLabels: Smaller than what matters.",
    }
    assert cases["layer 1"][0].tag == cases["ugly"][0].tag == "skipped"
    assert cases["held"].findtext("system-out") == report.as_text(several["held"], width=110)
    assert "Adjusted p over 3 sites: ShuffleLabels .08; ControlTask .275." in cases["layer 1"].findtext(
        "system-out", ""
    )


def test_skipped_names_the_draws_that_are_needed(undecided: ct.Result) -> None:
    skipped = valid(report.as_junit({"layer 3": undecided})).find(".//skipped")
    assert skipped is not None
    assert "at alpha 0.05 at least 19 draws are needed" in skipped.attrib["message"]
    assert "at least 19 draws are needed" in report.as_annotations(undecided)
    assert "at least 19 draws are needed" in report.as_markdown(undecided)


def test_properties_hold_the_numbers_to_the_bit_and_nothing_that_is_missing(build: Any, several: Any) -> None:
    def properties(record: Any) -> dict[str, float]:
        found = valid(report.as_junit({"it": record})).iter("property")
        return {each.attrib["name"]: float(each.attrib["value"]) for each in found}

    result, sweep = build.result(), build.sweep(2)
    held = properties(result)
    assert held["score"] == result.score
    for comparison in result.comparisons:
        start = comparison.control
        assert held[f"{start}.p_value"] == comparison.p_value
        assert held[f"{start}.p_floor"] == comparison.p_floor
        assert held[f"{start}.selectivity"] == comparison.selectivity.value
        assert (held[f"{start}.bound_low"], held[f"{start}.bound_high"]) == comparison.bounds
        assert held[f"{start}.draws"] == comparison.draws
    assert properties(sweep)["layer 1.ControlTask.adjusted_p"] == sweep.adjusted_p["ControlTask"]["layer 1"]
    assert not [value for value in properties(several["ugly"]).values() if math.isnan(value)]
    assert [name for name in properties(several["ugly"]) if name.endswith("p_value")] == []


@settings(max_examples=60, deadline=None)
@given(name=ANY_TEXT, control=ANY_TEXT, reason=ANY_TEXT)
def test_any_text_survives_junit(build: Any, name: str, control: str, reason: str) -> None:
    comparison = build.comparison(verdict=Verdict.INCONCLUSIVE, reason=reason)
    result = build.result(dataclasses.replace(comparison, control=control), verdict=ClaimVerdict.UNDECIDED)
    root = valid(report.as_junit({name: result}))
    assert root[0].get("name") == printable(name)
    names = [each.get("name", "") for each in root.iter("property")]
    assert f"{printable(control)}.p_value" in names
    message = root.find(".//skipped").attrib["message"]  # type: ignore[union-attr]
    assert one_line(printable(reason).strip())[1:] in message


# -- Markdown ----------------------------------------------------------------------------------------

GITHUB = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


def seen(source: str) -> str:
    """Return the text of Markdown that must hold no markup."""
    inline = [token for token in GITHUB.parse(source) if token.type == "inline"]
    assert len(inline) == 1
    assert {child.type for child in inline[0].children or []} <= {"text"}, source
    return "".join(child.content for child in inline[0].children or []).replace("\u200b", "")


@settings(max_examples=300, deadline=None)
@given(text=st.one_of(ANY_TEXT, st.text("*_`[]()<>!|~#@\\$&;:-+=.1 a\n", max_size=30)))
def test_any_text_is_text_in_markdown(text: str) -> None:
    shown = one_line(printable(text)).replace("\u200b", "")
    escaped = markdown(printable(text))
    assert seen(f"word {escaped} word").split(" ", 1)[1].rsplit(" ", 1)[0] == shown
    assert "\n" not in escaped
    assert not re.search(r"(?<!&)#|[@|<>]|://|www\.", escaped, re.IGNORECASE)
    table = [token.type for token in GITHUB.parse(f"| a | b |\n|---|---|\n| {escaped} | x |\n")]
    assert Counter(table)["td_open"] == 2


def test_markdown_escapes_what_github_would_link_or_call() -> None:
    for text in ("https://a.b", "www.a.b", "mail a@b.c", "@team", "#12", "a/b#12"):
        escaped = markdown(text)
        assert "&#8203;" in escaped
        assert seen(f"x {escaped}") == f"x {text}"
    assert markdown("roc_auc, [0.1]") == "roc_auc, &#91;0.1&#93;"


def structure(source: str) -> Counter[str]:
    tokens = GITHUB.parse(source)
    return Counter(token.type for each in tokens for token in (each, *(each.children or [])))


def test_hostile_text_changes_no_structure(build: Any) -> None:
    nasty = "](javascript:x) </details> | `a` <b>*c*</b> @team\n\n# d\n\n| e |"
    told = build.comparison("A", caveats=("a",))
    hostile = dataclasses.replace(
        told, control=nasty, description=nasty, reason=nasty, caveats=(nasty,), null=nasty, licenses=nasty
    )
    plain = build.result(told, title="b", notes=("c",), metric="d", reason="e")
    attacked = build.result(hostile, title=nasty, notes=(nasty,), metric=nasty, reason=nasty)
    ours, theirs = (
        structure(report.as_markdown({"x": build.result(), **one})) for one in ({"b": plain}, {nasty: attacked})
    )
    assert theirs - Counter(text=theirs["text"]) == ours - Counter(text=ours["text"])
    assert ours["html_block"] == 4


def test_the_summary_says_verdicts_licences_notes_and_caveats(several: Any, build: Any) -> None:
    several = {**several, "noted": build.result(notes=("rows were taken as units",))}
    text = report.as_markdown(several)
    assert text.startswith("## 7 claims: 2 hold, 1 fails, 4 undecided\n")
    assert "| ShuffleLabels | 0.912 | 0.504 | 0.408 [0.377, 0.439] | .005 (floor .005) | ✓ SELECTIVE |" in text
    assert "| ShuffleLabels | 0.640 | 0.504 | 0.136 [0.105, 0.167] | .005 (floor .005) | .08 | ✓ SELECTIVE |" in text
    for comparison in several["held"].comparisons:
        assert f"- {comparison.control}: {comparison.licenses}" in text
        assert comparison.null in text
        assert all(f"  - Caveat: {caveat}" in text for caveat in comparison.caveats)
    assert "> **Note.** rows were taken as units" in text[: text.rindex("<details>")]
    section = text[text.index("The claim fails: failed") : text.index("Undecided: sweep, layer 0")]
    assert "Nothing is licensed" in section
    assert report.as_markdown(several["held"]).startswith(f"## ✓ The claim holds: {several['held'].title}\n")


@pytest.mark.parametrize("n", [1, 400, 6000])
def test_a_summary_is_never_too_long_for_github(build: Any, n: int) -> None:
    result = build.result(build.comparison(reason="|" * 400))
    text = report.as_markdown({f"claim {place}": result for place in range(n)})
    assert len(text.encode()) < 2**20
    rows = text.count("\n| claim ") if n > 1 else 0
    sections = text.count("<details>")
    left = [int(found.replace(",", "")) for found in re.findall(r"leaves out ([\d,]+) of [\d,]+ claims", text)]
    if n == 1:
        assert (sections, left) == (1, [])
    else:
        missing = [each for each in (n - rows, n - sections) if each]
        assert left == missing
        assert sections > 0


def test_one_claim_that_is_too_long_is_left_out_with_a_sentence(build: Any) -> None:
    text = report.as_markdown(build.result(build.comparison(null="é" * 600_000)))
    assert text.endswith("leaves out 1 of 1 claims, as GitHub shows no more than 1 MiB.\n")


# -- annotations -------------------------------------------------------------------------------------


def commands(text: str) -> list[tuple[str, dict[str, str], str]]:
    """Read workflow commands as GitHub's runner does."""
    found = []
    for line in text.splitlines():
        match = re.fullmatch(r"::(\w+) (.*?)::(.*)", line)
        assert match, line
        kind, properties, message = match.groups()
        pairs = dict(part.split("=", 1) for part in properties.split(","))
        found.append((kind, {name: plain(value) for name, value in pairs.items()}, plain(message)))
    return found


def plain(text: str) -> str:
    for code, character in (("%2C", ","), ("%3A", ":"), ("%0A", "\n"), ("%0D", "\r"), ("%25", "%")):
        text = text.replace(code, character)
    return text


def test_annotations_are_errors_warnings_and_notices_at_their_lines(several: Any) -> None:
    text = report.as_annotations(several, file="a, b:c.toml", lines={"held": 3, "sweep": 9})
    read = commands(text)
    assert Counter(kind for kind, *_ in read) == {"error": 1, "warning": 4, "notice": 1}
    at = {properties["title"]: (properties["file"], properties.get("line")) for _, properties, _ in read}
    assert at["The claim holds: held"] == ("a, b:c.toml", "3")
    assert at["The claim fails: failed"] == ("a, b:c.toml", None)
    assert at["Undecided: sweep, layer 2"] == ("a, b:c.toml", "9")
    assert read[0][2] == "Surely below. ShuffleLabels: Smaller than what matters."
    assert "Adjusted p over 3 sites" in read[1][2]


@settings(max_examples=60, deadline=None)
@given(name=ANY_TEXT, said=ANY_TEXT, note=ANY_TEXT)
@example(name="a%2Cb%3A100%25,c:d", said="%0A::error::x", note="50% %25\n::error::y")
def test_any_text_stays_inside_its_annotation(build: Any, name: str, said: str, note: str) -> None:
    result = build.result(verdict=ClaimVerdict.HOLDS, reason=said, notes=(note,))
    text = report.as_annotations({name: result}, file="f")
    assert text.count("\n") == 1
    ((kind, properties, message),) = commands(text)
    assert kind == "notice"
    assert list(properties) == ["file", "title"]
    assert properties["title"] == f"The claim holds: {printable(name)}"
    assert printable(note).strip()[1:] in message


@pytest.mark.parametrize("n", [1, 10, 11, 250])
def test_annotations_stay_within_what_github_shows(build: Any, n: int) -> None:
    failed = build.result(verdict=ClaimVerdict.FAILS)
    read = commands(report.as_annotations({**{f"c{place}": failed for place in range(n)}, "held": build.result()}))
    errors = [message for kind, _, message in read if kind == "error"]
    assert len(errors) == min(n, annotations.SHOWN)
    assert [kind for kind, *_ in read].count("notice") == 1
    assert errors[-1].startswith(f"{n - 9} more claims with the verdict FAILS") == (n > 10)


# -- refusals ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [report.as_junit, report.as_markdown, report.as_annotations])
def test_what_is_no_result_is_refused(function: Any, build: Any) -> None:
    with pytest.raises(InputTypeError, match="results must be a Result, a Sweep or a mapping"):
        function([build.result()])
    with pytest.raises(InputTypeError, match="record must be a Result or a Sweep, got int"):
        function({"a": 1})
    with pytest.raises(InputError, match="at least one"):
        function({})
    assert function(build.sweep(results={}, adjusted_p={})) is not None


def test_lines_need_their_file(build: Any) -> None:
    with pytest.raises(InputError, match="pass file="):
        report.as_annotations(build.result(), lines={"a": 1})


def test_summary_limit_is_below_that_of_github() -> None:
    assert summary.LIMIT < 2**20
