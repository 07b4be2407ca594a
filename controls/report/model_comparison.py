"""A comparison of two groups of models as text and as a data frame: functions of the record alone."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from controls.core.model_comparison import ModelComparison
from controls.report.escape import no_commands, printable, with_text
from controls.report.format import count, decimals_for, interval, number, percent, probability
from controls.report.words import sentence

if TYPE_CHECKING:
    import pandas as pd


def text(record: ModelComparison, *, width: int = 110) -> str:
    """Return the table and the verdict as plain text of at most ``width`` columns."""
    from rich import box
    from rich.console import Console, Group
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    shown = with_text(record, lambda text: no_commands(printable(text)))
    console = Console(file=io.StringIO(), width=width, force_terminal=False, color_system=None, legacy_windows=False)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=True, padding=(0, 1, 0, 0))
    for column in ("models", "number", "mean", "standard deviation", "from", "to"):
        table.add_column(column, overflow="fold")
    for row in _rows(shown):
        table.add_row(*map(Text, row))
    lines = [Padding(Text(line), (0, 0, 0, 1)) for line in _sentences(shown)]
    console.print(Group(Text(_title(shown)), table, *lines), markup=False, highlight=False, emoji=False)
    written = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in written.splitlines())


def _title(record: ModelComparison) -> str:
    return f"{record.of}: {record.names[0]} beside {record.names[1]} models"


def _decimals(record: ModelComparison) -> int:
    return decimals_for([*(float(each.mean()) for each in record.values.values()), *record.bounds])


def _rows(record: ModelComparison) -> list[tuple[str, ...]]:
    decimals, rows = _decimals(record), []
    for name, each in record.values.items():
        spread = number(float(each.std(ddof=1)), decimals) if len(each) > 1 else ""
        mean, low, high = (number(float(value), decimals) for value in (each.mean(), each.min(), each.max()))
        rows.append((name, count(len(each)), mean, spread, low, high))
    return rows


def _sentences(record: ModelComparison) -> tuple[str, ...]:
    found, decimals = record.estimate, _decimals(record)
    ends = interval(found.low, found.high, decimals, approximate=found.approximate)
    value = number(found.value, decimals)
    first, second = (len(each) for each in record.values.values())
    p = f"p {probability(record.p_value)} (floor {probability(record.p_floor)}) by relabelings of models"
    if first == 1:
        p = f"ranks {round(record.p_value * (second + 1))} of {second + 1} models"
    return (
        f"difference of the means {value}, {percent(found.level)} interval over models {ends}",
        f"{record.verdict}: {p}. {sentence(record.reason)}",
    )


def frame(record: ModelComparison) -> pd.DataFrame:
    """Return one row per model."""
    import pandas as pd

    pairs = [(name, float(value)) for name, values in record.values.items() for value in values]
    return pd.DataFrame(pairs, columns=["models", "value"])
