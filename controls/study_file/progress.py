"""Progress on standard error: a bar in a terminal, a line for each claim elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from controls.report.escape import printable
from controls.runner.execute import Progress


@contextmanager
def bar(console: Console | None = None) -> Iterator[Callable[[str], Progress]]:
    """Yield what makes the progress of one claim: ``progress(claim)(done, total, what)``."""
    shown_on = console or Console(stderr=True)
    if not shown_on.is_terminal:
        yield _line
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=shown_on, transient=True) as shown:

        def progress(claim: str) -> Progress:
            name = printable(claim)
            task = shown.add_task(name, total=None)
            return lambda done, total, what: shown.update(
                task, completed=done, total=total, description=f"{name}: {what}"
            )

        yield progress


def _line(claim: str) -> Progress:
    print(f"controls: measuring {printable(claim)}", file=sys.stderr)
    return lambda done, total, what: None
