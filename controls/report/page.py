"""Records as web pages. Templates escape everything; only the figures, made here, go in as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from controls.core.result import Result, Sweep
from controls.report import plots
from controls.report.svg import inline_svg
from controls.report.view import SIGNS, ResultView, SweepView, result_view, sweep_view


def page(records: Sequence[Result | Sweep], title: str) -> str:
    """Return one self-contained page about these records."""
    views = [_with_figure(record, f"r{place}") for place, record in enumerate(records, start=1)]
    heading = title or (views[0].title if len(views) == 1 else "Results beside their controls")
    return _environment().get_template("page.html.j2").render(title=heading, records=views)


def fragment(record: Result | Sweep) -> str:
    """Return the tables and verdicts of a record, to stand inside another page."""
    return _environment().get_template("fragment.html.j2").render(record=_view(record, "r"))


def _view(record: Result | Sweep, anchor: str) -> ResultView | SweepView:
    return result_view(record, anchor) if isinstance(record, Result) else sweep_view(record, anchor)


def _with_figure(record: Result | Sweep, anchor: str) -> ResultView | SweepView:
    view = _view(record, anchor)
    drawing = Markup(inline_svg(record, _label(view), anchor))  # matplotlib has escaped the text in it
    return replace(view, svg=drawing, caption=plots.how_to_read(record))


def _label(view: ResultView | SweepView) -> str:
    """Return what the figure shows, for those who do not see it; the tables have its numbers."""
    if isinstance(view, SweepView):
        controls = ", ".join(control for control, _ in view.tables)
        return f"{view.title}: {view.metric} over {len(view.results)} sites, beside the draws of {controls}."
    rows = [part.row for part in view.comparisons]
    said = "; ".join(f"{row.name}: selectivity {row.selectivity}, {row.verdict}" for row in rows)
    return f"{view.title}: observed score beside the draws of each control. {said}."


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("controls", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["signs"] = SIGNS
    return environment
