"""A progress bar on standard error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from controls.runner.execute import Progress


@contextmanager
def shown(title: str) -> Iterator[Progress]:
    """Show one bar while the block runs; yield the ``progress(done, total, what)`` that moves it."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Bars(*columns, console=Console(stderr=True)) as bars:
        bar = bars.add_task(title, total=None)

        def progress(done: int, total: int, what: str) -> None:
            bars.update(bar, completed=done, total=total, description=f"{title}: {what}")

        yield progress
