"""Figures as SVG inside a page: no fonts, no links, no dates, colours from the page's style sheet."""

from __future__ import annotations

import html
import io
import re

import matplotlib as mpl

from controls.core.result import Result, Sweep
from controls.report.palette import THEMED, with_variables
from controls.report.plots import any_glyph, figure

_NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}
_ID = re.compile(r'(\bid="|url\(#|href="#)')


def inline_svg(record: Result | Sweep, label: str, prefix: str) -> str:
    """Return a record's figure as an ``<svg>`` element.

    ``label`` is read out to those who do not see it; ids start with ``prefix``, as ids of several
    figures must differ within a page. The same record gives the same bytes.
    """
    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "controls"}), any_glyph():
        figure(record, THEMED, key=False).savefig(buffer, format="svg", transparent=True, metadata=_NO_METADATA)
    drawing = buffer.getvalue()
    drawing = drawing[drawing.index("<svg") :].strip()
    return with_variables(_with_own_ids(_as_element(drawing, label), prefix))


def _as_element(drawing: str, label: str) -> str:
    """Return the SVG without what only a file needs (sizes, namespaces), and with a label."""
    view = re.search(r'viewBox="[^"]*"', drawing)
    body = drawing[drawing.index(">") + 1 :].replace("xlink:href", "href")
    return f'<svg role="img" aria-label="{html.escape(label)}" {view.group(0) if view else ""}>{body}'


def _with_own_ids(drawing: str, prefix: str) -> str:
    """Return the drawing with a prefix on every id and reference; text between tags stays as it is."""
    return re.sub(r"<[^>]*>", lambda tag: _ID.sub(rf"\g<1>{prefix}-", tag.group(0)), drawing)
