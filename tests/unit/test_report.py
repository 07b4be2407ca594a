"""Reports say what records hold, and nothing else; in every format, whatever is missing or hostile in them."""

from __future__ import annotations

import dataclasses
import io
import itertools
import math
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from html.parser import HTMLParser
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console

from controls import report
from controls.core.errors import InputError, InputTypeError
from controls.core.result import ClaimVerdict, Verdict
from controls.core.rng import stream
from controls.report import format as fmt
from controls.report import palette, plots, words

VOID = {"meta", "link", "br", "img", "input", "hr"}


# -- numbers -----------------------------------------------------------------------------------------


def test_a_p_value_is_never_shown_as_zero_and_keeps_three_digits() -> None:
    rng = stream(0, "p")
    for value in [*10 ** rng.uniform(-12, 0, 500), 0.0, 1.0, 1e-300, 1 / 3, 0.9996]:
        text = fmt.probability(float(value))
        if text[0] in "<>":
            edge = float(text[1:])
            assert value < edge if text[0] == "<" else value > edge
        else:
            assert float(text) > 0
            assert float(text) == pytest.approx(value, rel=0.0051)


def test_a_p_value_just_above_a_level_does_not_look_like_the_level() -> None:
    assert fmt.probability(0.05) == ".05"
    assert fmt.probability(0.05001) == ".0500"


def test_scores_are_rounded_to_the_nearest_and_small_ones_keep_digits() -> None:
    rng = stream(0, "scores")
    for value in rng.standard_normal(300) * 10 ** rng.uniform(-5, 3, 300):
        decimals = fmt.decimals_for([value])
        text = fmt.number(float(value), decimals).replace("−", "-").replace(",", "")
        assert abs(float(text) - value) <= 0.5 * 10.0**-decimals + 1e-12
        assert abs(float(text) - value) <= 0.02 * abs(value)


def test_zero_has_no_sign_and_missing_numbers_are_words() -> None:
    assert fmt.number(-0.0) == fmt.number(-0.0001) == "0.000"
    assert fmt.number(math.nan) == fmt.probability(math.nan) == fmt.interval(0.1, math.nan) == "not available"
    assert fmt.number(-math.inf) == "−∞"


# -- ranks, p and their words ------------------------------------------------------------------------


def test_the_rank_is_one_plus_the_draws_at_least_as_high(build: Any) -> None:
    for score in (0.5, 0.72, 0.735, 0.75, 0.9):
        comparison = build.ensemble(score=score)
        above = int((comparison.control_scores >= score).sum())
        assert words.rank_of(comparison) == (1 + above, 40)
        assert words.p_short(comparison) == f"ranks {1 + above} of 40"


def test_an_enumerated_rank_counts_the_observed_once(build: Any) -> None:
    comparison = build.ensemble(enumerated=True, draws=20, log_relabelings=math.log(20), p_value=3 / 20)
    assert words.rank_of(comparison) == (3, 20)


def test_an_ensemble_is_never_worded_as_a_test(build: Any) -> None:
    result = build.result(build.ensemble())
    for shown in (report.as_text(result), visible_text(report.as_html(result)), report.as_html_fragment(result)):
        assert "ranks 1 of 40" in shown
        assert "not a test of a null hypothesis" in " ".join(shown.split())
        assert "p =" not in shown
        assert "Null hypothesis" not in shown


def test_an_exact_p_stands_with_its_floor(build: Any) -> None:
    result = build.result(build.comparison(p_value=0.015, p_floor=0.005))
    for shown in (report.as_text(result), report.as_html(result), report.as_html_fragment(result)):
        assert ".015 (floor .005)" in shown
        assert "not a test" not in shown


def test_exact_p_of_enumerated_relabelings_needs_no_interval(build: Any) -> None:
    all_20 = build.comparison(draws=20, enumerated=True, log_relabelings=math.log(20), p_interval=None)
    page = visible_text(report.as_html(build.result(all_20)))
    assert "all 20 relabelings" in page
    assert "Every distinct relabeling was scored once" in page
    assert "[0, .0184]" in visible_text(report.as_html(build.result(build.comparison())))


# -- text --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["result", "sweep", "ugly"])
@pytest.mark.parametrize("width", [60, 80, 110, 200])
def test_text_is_plain_and_fits_its_width(records: Any, name: str, width: int, monkeypatch: Any) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "300")
    text = report.as_text(records[name], width=width)
    assert "\x1b" not in text
    assert max(map(cell_len, text.splitlines())) <= width
    assert not any(line.endswith(" ") for line in text.splitlines())


def test_text_says_every_verdict_reason_caveat_and_note(build: Any) -> None:
    comparisons = [
        build.comparison(f"Control{place}", verdict=verdict, reason=f"reason {place}", caveats=(f"caveat {place}",))
        for place, verdict in enumerate(Verdict)
    ]
    result = build.result(*comparisons, verdict=ClaimVerdict.FAILS, reason="because", notes=("loud note",))
    flat = " ".join(report.as_text(result, width=200).split())
    for place, verdict in enumerate(Verdict):
        assert f"Control{place} {verdict} (199 draws). Reason {place}." in flat
        assert f"caveat {place}" in flat
    assert "NOTE loud note" in flat
    assert flat.endswith("CLAIM FAILS. Because.")


def failing(build: Any) -> Any:
    """A comparison of 199 draws: 13 failed, in seven ways, and one more has no score."""
    ways = [(draw, "fit failed with ValueError: no luck") for draw in (3, 5, 8, *range(100, 104))]
    ways += [(20 + way, f"way {way}") for way in range(6)]
    scores = build.comparison().control_scores.copy()
    scores[[50, *(draw for draw, _ in ways)]] = np.nan
    return build.comparison(control_scores=scores, failures=tuple(ways))


def test_every_report_says_how_many_draws_failed(build: Any) -> None:
    result, said = (
        build.result(failing(build)),
        "199 draws, 13 on which the trainer failed and 1 without a defined score",
    )
    for text in (report.as_text(result, width=200), visible_text(report.as_html(result)), report.as_junit(result)):
        assert said in " ".join(text.split())
    line = "Draws 3, 5, 8, 100, 101, 102, 103: Fit failed with ValueError: no luck."
    for text in (visible_text(report.as_html(result)), report.as_markdown(result)):
        assert line in text
        assert "And in 2 other ways." in text


def test_many_failures_of_one_kind_are_one_short_line(build: Any) -> None:
    comparison = build.comparison(failures=tuple((draw, "no luck") for draw in range(40)))
    assert words.failure_lines(comparison) == ("Draws 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 30 more: No luck.",)
    assert words.failure_lines(build.comparison()) == ()


@pytest.mark.parametrize(("inference", "said"), [("exact", "Exact"), ("ensemble", "Ensemble"), ("paired", "Paired")])
def test_the_page_names_the_kind_of_inference(build: Any, inference: str, said: str) -> None:
    text = visible_text(report.as_html(build.result(build.comparison(inference=inference))))
    assert [f"{kind}: " in text for kind in ("Exact", "Ensemble", "Paired")].count(True) == 1
    assert f"{said}: " in text


def test_the_page_says_where_draws_are_kept(build: Any) -> None:
    kept = build.result(provenance=build.provenance(store="runs/role.db"))
    assert "Draws are kept in runs/role.db" in " ".join(visible_text(report.as_html(kept)).split())
    assert "Draws are kept in no file" in " ".join(visible_text(report.as_html(build.result())).split())


def test_rows_taken_as_units_are_said_where_the_score_is(build: Any) -> None:
    result = build.result(provenance=build.provenance(unit="rows", n=300, n_units=300))
    for shown in (report.as_text(result), report.as_html(result), report.as_html_fragment(result)):
        assert "300 rows, each taken as an independent unit" in shown


def test_missing_intervals_and_scores_are_said_in_words(records: Any, build: Any) -> None:
    for shown in (report.as_text(records["ugly"]), visible_text(report.as_html(records["ugly"]))):
        assert "not available" in shown
        assert not re.search(r"\bnan\b", shown, re.IGNORECASE)
    gone = build.estimate(0.4, low=math.nan, high=math.nan)
    assert "0.400 (interval not available)" in report.as_text(build.result(build.comparison(selectivity=gone)))


def test_approximate_intervals_are_marked_and_the_mark_explained(build: Any) -> None:
    exact = build.result(build.comparison())
    marked = build.result(build.comparison(selectivity=build.estimate(0.4, approximate=True)))
    assert "≈" not in report.as_text(exact)
    assert "≈[0.369, 0.431]" in report.as_text(marked)
    assert "≈ marks an approximate interval" in report.as_text(marked)


def test_a_sweep_has_a_row_per_site_and_control_with_adjusted_p(build: Any) -> None:
    sweep = build.sweep()
    rows = [line.split() for line in report.as_text(sweep, width=160).splitlines() if line.startswith(" layer")]
    assert len(rows) == 5 * 2
    adjusted = [row[-2] for row in rows]
    assert adjusted == [".12", ".08", ".015", ".005", ".005"] + [".275"] * 5
    assert "ShuffleLabels: adjusted p ≤ .05 at 3 of 5 sites: layer 2, layer 3, layer 4." in report.as_text(sweep)


def test_colours_come_only_from_a_console_that_has_them(build: Any) -> None:
    coloured, plain = io.StringIO(), io.StringIO()
    report.print_result(build.result(), Console(file=coloured, force_terminal=True, color_system="standard", width=110))
    report.print_result(build.result(), Console(file=plain, color_system=None, width=110))
    assert "\x1b[1;32mSELECTIVE" in coloured.getvalue()
    assert "\x1b" not in plain.getvalue()
    assert "CLAIM HOLDS" in plain.getvalue()


# -- frame -------------------------------------------------------------------------------------------


def test_the_frame_has_unrounded_numbers(build: Any) -> None:
    result, sweep = build.result(), build.sweep()
    frame = report.as_frame(result)
    for row, comparison in zip(frame.to_dict("records"), result.comparisons, strict=True):
        assert row["control"] == comparison.control
        assert row["selectivity"] == comparison.selectivity.value
        assert (row["bound_low"], row["bound_high"]) == comparison.bounds
        assert (row["p_value"], row["p_floor"]) == (comparison.p_value, comparison.p_floor)
    swept = report.as_frame(sweep).set_index(["control", "site"])
    assert len(swept) == 10
    for control, sites in sweep.adjusted_p.items():
        for site, p in sites.items():
            assert swept.loc[(control, site), "adjusted_p"] == p


# -- pages -------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """Checks that tags are balanced, and gathers what tests ask about."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "svg", "title"} & set(self.open):
            self.text.append(data)

    def values(self, name: str) -> list[str]:
        return [attrs[name] or "" for _, attrs in self.tags if name in attrs]


def visible_text(html: str) -> str:
    return " ".join(" ".join(Page(html).text).split())


@pytest.fixture(scope="module")
def pages(records: Any) -> dict[str, str]:
    single = {name: report.as_html(record) for name, record in records.items()}
    return {**single, "all": report.as_html(list(records.values()), title="All <b>of</b> them")}


def test_no_text_of_a_record_becomes_markup(pages: Any, records: Any) -> None:
    for html in (*pages.values(), *map(report.as_html_fragment, records.values())):
        tags = {tag for tag, _ in Page(html).tags}
        assert not tags & {"script", "b", "iframe", "object", "img", "link"}
        assert "<script" not in html
    assert "All <b>of</b> them" in visible_text(pages["all"])
    drawing = pages["ugly"][pages["ugly"].index("<svg") : pages["ugly"].index("</svg>")]
    assert ">Own$x$&lt;script&gt;" in drawing
    shown = visible_text(pages["ugly"])
    for said in ('[bold]$x$ & "more"', "Own(per='<script>alert('x')</script>', cost='$5$')"):
        assert said in shown


def test_a_page_loads_nothing(pages: Any) -> None:
    for html in pages.values():
        page = Page(html)
        assert not re.search(r"https?:|//[a-z]|@import|@font-face|src=", html)
        assert not page.values("src")
        assert all(href.startswith("#") for href in page.values("href"))
        assert set(re.findall(r"url\(([^)]*)\)", html)) <= {f"#{name}" for name in page.values("id")}


def test_ids_are_unique_and_links_lead_somewhere(pages: Any) -> None:
    for html in pages.values():
        page = Page(html)
        ids = page.values("id")
        assert len(ids) == len(set(ids))
        assert {href[1:] for href in page.values("href")} <= set(ids)


def test_a_page_is_accessible(pages: Any) -> None:
    for html in pages.values():
        page = Page(html)
        assert ("html", {"lang": "en"}) in page.tags
        drawings = [attrs for tag, attrs in page.tags if tag == "svg"]
        assert drawings
        assert all(attrs["role"] == "img" and attrs["aria-label"] for attrs in drawings)
        assert all(attrs.get("scope") in ("row", "col") for tag, attrs in page.tags if tag == "th")
        tables, captions = (sum(tag == name for tag, _ in page.tags) for name in ("table", "caption"))
        assert tables == captions
        levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
        assert levels.count(1) == 1
        assert levels[0] == 1
        assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_figures_follow_light_and_dark(pages: Any) -> None:
    html = pages["result"]
    assert "prefers-color-scheme: dark" in html
    drawing = html[html.index("<svg") : html.index("</svg>")]
    assert {"var(--ink)", "var(--muted)", "var(--observed)", "var(--drawn)"} <= set(
        re.findall(r"var\(--\w+\)", drawing)
    )
    sentinels = {getattr(palette.THEMED, item.name) for item in dataclasses.fields(palette.THEMED)}
    assert not [colour for colour in sentinels if colour in html]
    assert not re.findall(r"(?:fill|stroke): #", drawing)
    style = html[: html.index("</style>")]
    dark = style[style.index("prefers-color-scheme: dark") :]
    for name in set(re.findall(r"var\((--\w+)\)", html)):
        assert f"{name}:" in style
        assert f"{name}:" in dark


def numbers_of(value: Any) -> Iterator[float]:
    if dataclasses.is_dataclass(value):
        for item in dataclasses.fields(value):
            yield from numbers_of(getattr(value, item.name))
    elif isinstance(value, Mapping):
        for name, part in value.items():
            yield from (*numbers_of(name), *numbers_of(part))
    elif isinstance(value, (tuple, list, np.ndarray)):
        for part in value:
            yield from numbers_of(part)
    elif isinstance(value, str):
        yield from (float(found) for found in re.findall(r"\d*\.?\d+", value))
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield abs(float(value))


SHOWN: dict[str, Callable[[Any], str]] = {
    "page": lambda record: visible_text(report.as_html(record)),
    "text": report.as_text,
    "markdown": lambda record: re.sub(r"&#\d+;", " ", report.as_markdown(record)),
    "junit": lambda record: report.as_junit(record).partition("?>")[2],
    "annotations": lambda record: report.as_annotations(record).replace("%25", "%").replace("%0A", "\n"),
}


@pytest.mark.parametrize("form", SHOWN)
@pytest.mark.parametrize("name", ["result", "sweep"])
def test_no_report_shows_a_number_that_the_record_lacks(records: Any, name: str, form: str) -> None:
    record = records[name]
    held = np.array(sorted({number for number in numbers_of(record) if math.isfinite(number)}))
    # said of every record: 95% and 90% levels, rank among draws + 1, a count of sites or passes, powers of ten, sums
    derived = [95.0, 90.0, 40.0, *range(6), 10.0, round(812.44 / math.log(10)), 75.25 / 60, 5 * 75.25]
    results = getattr(record, "results", {"": record}).values()
    derived += [c.p_value * (c.draws + 1) for result in results for c in result.comparisons]
    text = re.sub(r"(?<=\d),(?=\d)", "", SHOWN[form](record))
    shown = re.findall(r"\d*\.?\d+", text)
    assert len(shown) > (1 if form == "annotations" else 25)
    for token in shown:
        digits = len(token.partition(".")[2])
        room = 0.5 * 10.0**-digits + 1e-9
        assert np.abs(np.concatenate([held, derived]) - float(token)).min() <= room, token


def test_the_page_says_the_verdict_before_anything_else(build: Any) -> None:
    text = visible_text(report.as_html(build.result()))
    order = [
        "The claim holds",
        "0.912",
        "Thin bars",
        "Control mean",
        "Keeps",
        "Null hypothesis",
        "Design and provenance",
    ]
    places = [text.index(said) for said in order]
    assert places == sorted(places)


def test_the_page_says_for_each_control_what_it_means(build: Any) -> None:
    result = build.result()
    text = visible_text(report.as_html(result))
    for comparison in result.comparisons:
        for said in (comparison.description, comparison.null, comparison.licenses, *comparison.caveats):
            assert said in text
        for listed in (comparison.preserves, comparison.destroys):
            assert "; ".join(listed) in text
        for name in comparison.integrity:
            assert name in text
    unsaid = dataclasses.replace(result.comparisons[0], licensed=False)
    assert "Not licensed by this result." in report.as_html(build.result(unsaid))
    assert "Not licensed" not in report.as_html(result)
    origin = result.provenance
    for said in (origin.study_key, origin.data_key, origin.folds, origin.trainer, origin.plan, "numpy 2.4.1"):
        assert said in text


def test_the_same_record_gives_the_same_page_whatever_the_settings(build: Any) -> None:
    record = build.result()
    once = report.as_html(record)
    with mpl.rc_context({"font.size": 30, "axes.grid": True, "xtick.direction": "in", "svg.fonttype": "path"}):
        assert report.as_html(record) == once


def test_a_page_of_many_draws_is_no_larger(build: Any) -> None:
    small = report.as_html(build.result(build.comparison(draws=plots.MAX_DOTS)))
    large = report.as_html(build.result(build.comparison(draws=50_000)))
    assert len(large) < len(small)


# -- refusals and imports ---------------------------------------------------------------------------


REPORTS = [report.as_text, report.as_json, report.plot, report.as_frame, report.as_html_fragment, report.as_html]


@pytest.mark.parametrize("function", REPORTS)
def test_what_is_no_record_is_refused(function: Any) -> None:
    with pytest.raises(InputTypeError, match=r"must be a Result.*, got dict"):
        function({} if function is not report.as_html else [{}])


def test_a_page_about_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="at least one"):
        report.as_html([])


def test_importing_reports_loads_nothing_heavy_and_plots_need_no_pyplot() -> None:
    code = (
        "import sys, controls.report as r\n"
        "heavy = {'matplotlib', 'pandas', 'rich', 'jinja2', 'pydantic', 'torch', 'sklearn'} & set(sys.modules)\n"
        "import controls.report.plots, controls.report.svg\n"
        "print(sorted(heavy), 'matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] False"
