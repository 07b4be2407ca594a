"""The documentation is true: its code runs and prints what it shows, its links lead somewhere, no name is missing.

``python tests/docs/test_docs.py`` writes what the code prints now into the pages.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
WITH_CODE = [page for page in PAGES if "```python" in page.read_text(encoding="utf-8")]

# A block of Python and, where a block of text follows right after it, what it must print.
_BLOCK = re.compile(r"^```python\n(?P<code>.*?)^```\n(?:\n```text\n(?P<printed>.*?)^```\n)?", re.M | re.S)
_FENCED = re.compile(r"^```.*?^```$", re.M | re.S)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.+)$", re.M)


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def executed(page: Path) -> Iterator[tuple[re.Match[str], str]]:
    """Run the blocks of a page in order, in one namespace; yield each with what it printed."""
    text = page.read_text(encoding="utf-8")
    namespace: dict[str, object] = {"__name__": "page"}
    for block in _BLOCK.finditer(text):
        before = "\n" * text.count("\n", 0, block.start("code"))  # so that errors name the line of the page
        printed = io.StringIO()
        with redirect_stdout(printed):
            exec(compile(before + block["code"], str(page), "exec", dont_inherit=True), namespace)
        yield block, printed.getvalue()


@pytest.mark.parametrize("page", WITH_CODE, ids=name_of)
def test_code_prints_what_the_page_shows(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for block, printed in executed(page):
        assert printed.rstrip() == (block["printed"] or "").rstrip(), block["code"]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_inside_the_repository_lead_somewhere(page):
    for link in _LINK.findall(_FENCED.sub("", page.read_text(encoding="utf-8"))):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{name_of(page)} links to {link}, which is not there"
        if anchor:
            assert anchor in _anchors(target), f"{name_of(page)} links to {link}, but there is no such heading"


def _anchors(page: Path) -> set[str]:
    headings = _HEADING.findall(_FENCED.sub("", page.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_index_names_everything_public():
    import controls as ct
    from controls import metrics, probes, testing

    index = (ROOT / "docs/api.md").read_text(encoding="utf-8")
    for prefix, module in (("ct", ct), ("ct.probes", probes), ("ct.metrics", metrics), ("ct.testing", testing)):
        missing = [name for name in module.__all__ if f"`{prefix}.{name}`" not in index]
        assert not missing, f"docs/api.md lacks {missing} of {prefix}"


def test_index_names_every_world():
    from controls import ground_truth

    index = (ROOT / "docs/api.md").read_text(encoding="utf-8")
    missing = [name for name in ground_truth.__all__ if f"`{name}`" not in index]
    assert not missing, f"docs/api.md lacks {missing} of controls.ground_truth"


def test_index_names_nothing_else():
    import controls as ct

    for dotted in re.findall(r"`ct\.([\w.]+)`", (ROOT / "docs/api.md").read_text(encoding="utf-8")):
        thing: object = ct
        for part in dotted.split("."):
            thing = getattr(thing, part)  # raises where the name is gone


def test_map_of_questions_has_every_control():
    from controls.catalogue import catalogue

    questions = (ROOT / "docs/which_null.md").read_text(encoding="utf-8")
    listed = [entry.name for entry in catalogue()]
    assert listed
    assert [name for name in listed if f"{name}(" not in questions] == []


def _write_what_is_printed(page: Path) -> None:
    """Replace the text block after each block of Python by what it prints; add it where it is missing."""
    parts, end, text = [], 0, page.read_text(encoding="utf-8")
    for block, printed in executed(page):
        shown = f"\n```text\n{printed.rstrip()}\n```\n" if printed.strip() else ""
        parts += [text[end : block.start()], f"```python\n{block['code']}```\n", shown]
        end = block.end()
    page.write_text("".join(parts) + text[end:], encoding="utf-8")


if __name__ == "__main__":
    import os
    import tempfile

    os.environ.setdefault("OMP_NUM_THREADS", "1")  # these problems are small
    warnings.simplefilter("error")
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)
        for each in WITH_CODE:
            _write_what_is_printed(each)
