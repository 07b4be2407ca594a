"""What the pages of all case studies are made of: tables, figures, and the block that run.py writes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from case_studies.files import write, write_json

BEGIN, END = "<!-- results: written by run.py -->", "<!-- end of results -->"


def put(readme: str, results: str) -> str:
    """Return a README with these results between its markers.

    Examples
    --------
    >>> put(f"Claim\\n{BEGIN}\\nold\\n{END}\\nHow\\n", "new\\n") == f"Claim\\n{BEGIN}\\nnew\\n{END}\\nHow\\n"
    True
    """
    before, rest = readme.split(BEGIN)
    return f"{before}{BEGIN}\n{results}{END}{rest.split(END)[1]}"


def keep(place: Path, results: Any, text: str, **pictures: Figure) -> None:
    """Write results.json, the pictures by their names, and the README's block where there is a README."""
    write_json(place / "results.json", results)
    for name, figure in pictures.items():
        picture = io.BytesIO()
        figure.savefig(picture, format="png", dpi=130)
        write(place / f"{name}.png", picture.getvalue())
    readme = place / "README.md"
    if readme.exists():
        write(readme, put(readme.read_text(encoding="utf-8"), text).encode())
    print(f"Written to {place}: results.json{''.join(f', {name}.png' for name in pictures)}")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table.

    Examples
    --------
    >>> print(table(["k", "error"], [["1", ".88"]]))
    | k | error |
    | --- | --- |
    | 1 | .88 |
    """
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
