"""Show a run: its tables, and what its claims come to."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from controls.core.result import Result, Sweep
from controls.report import as_text, print_result, save_page
from controls.report.escape import printable
from controls.report.format import number, probability
from controls.study_file.judge import exit_code
from controls.study_file.run import Run

_METHODS = {
    "holm": "Holm's correction",
    "bh": "the correction of Benjamini and Hochberg",
    "max-t": "max-T over the sites",
    "none": "no correction",
}


def show(run: Run, console: Console) -> None:
    """Print the tables of a run; where it has several claims, also what they come to."""
    for record in shown(run):
        if console.is_terminal:
            print_result(record, console)
        else:
            console.out(as_text(record), highlight=False)
        console.print()
    if len(run.claims) > 1:
        console.print(_summary(run), markup=False, highlight=False, emoji=False)
    counts = Counter(str(claim.result.verdict) for claim in run.claims)
    words = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    many = f"{len(run.claims)} claims after {_METHODS[run.spec.correction]}: {words}. " if len(run.claims) > 1 else ""
    console.print(Text(f"{many}Exit code {exit_code(run.claims)}. Kept in {run.folder}."), soft_wrap=True)


def shown(run: Run) -> list[Result | Sweep]:
    """Return the records that a reader sees: claims after correction, or a whole sweep."""
    sweeps = [record for record in run.records.values() if isinstance(record, Sweep)]
    return list(sweeps) or [claim.result for claim in run.claims]


def save_report(run: Run, path: Path | None = None) -> Path:
    """Write the page of a run and return its path; ``report.html`` in its folder where none is given."""
    return save_page(shown(run), path or run.folder / "report.html", run.spec.title)


def _summary(run: Run) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=True, padding=(0, 1, 0, 0), header_style="bold")
    for column in ("claim", "score", "p it needs", "adjusted", "verdict"):
        table.add_column(column, overflow="fold", no_wrap=column == "verdict")
    for claim in run.claims:
        needed = max(comparison.claim_p for comparison in claim.result.comparisons)
        table.add_row(
            Text(printable(claim.name)),
            number(claim.result.score),
            probability(needed),
            probability(claim.adjusted_p),
            str(claim.result.verdict),
        )
    return table
