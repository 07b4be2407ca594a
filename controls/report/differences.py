"""A difference in differences as text and as data frames: functions of the record alone."""

from __future__ import annotations

import io
import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from controls.core.result import DifferenceInDifferences
from controls.report.escape import no_commands, printable, with_text
from controls.report.format import count, duration, interval, number, percent, probability

if TYPE_CHECKING:
    import pandas as pd


def difference_text(record: DifferenceInDifferences, *, width: int = 110) -> str:
    """Return the tables as plain text of at most ``width`` columns."""
    from rich import box
    from rich.console import Console, Group
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    shown = with_text(record, lambda text: no_commands(printable(text)))
    console = Console(file=io.StringIO(), width=width, force_terminal=False, color_system=None, legacy_windows=False)
    parts: list[Any] = [Text(line) for line in _heading(shown)]
    for columns, rows in (_models(shown), _components(shown)):
        table = Table(box=box.SIMPLE_HEAD, pad_edge=True, padding=(0, 1, 0, 0))
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*map(Text, row))  # type: ignore[arg-type]
        parts.append(table)
    parts += [Padding(Text(line), (0, 0, 0, 1)) for line in _sentences(shown)]
    console.print(Group(*parts), markup=False, highlight=False, emoji=False)
    written = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in written.splitlines())


def _heading(record: DifferenceInDifferences) -> tuple[str, ...]:
    found = record.estimate
    ends = interval(found.low, found.high, 3, approximate=found.approximate)
    return (
        record.title,
        f"difference in differences of {record.metric}: {number(found.value, 3)}, "
        f"{percent(found.level)} interval {ends}",
        f"{record.labels} × {record.against} · {count(record.draws)} label draws · {count(record.n)} rows in "
        f"{count(record.n_units)} units ({record.unit}) · {duration(record.seconds)}",
    )


def _models(record: DifferenceInDifferences) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    columns = ("models", "number", "task", "control", "task − control", "from", "to")
    rows = [
        (name, count(len(each)), *(number(value, 3) for value in (*scores, each.mean(), each.min(), each.max())))
        for name, each, scores in (
            ("trained", record.trained, record.trained_scores),
            ("redrawn", record.redrawn, record.redrawn_scores),
        )
    ]
    return columns, rows


def _components(record: DifferenceInDifferences) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    rows = [
        (row["factor"], count(row["levels"]), _error(row), percent(round(row["share"], 3)))
        for row in _component_rows(record)
    ]
    return ("variance of the difference", "levels", "standard error", "share"), rows


def _error(row: dict[str, Any]) -> str:
    return "0 (estimate below 0)" if row["below_zero"] else number(math.sqrt(row["variance"]), 4)


def _component_rows(record: DifferenceInDifferences) -> list[dict[str, Any]]:
    total = sum(part.variance for part in record.components) or math.nan
    return [{**asdict(part), "share": part.variance / total} for part in record.components]


def _sentences(record: DifferenceInDifferences) -> tuple[str, ...]:
    several = record.inference == "exact"
    place = round(record.p_value * (len(record.redrawn) + 1))
    how = (
        f"p {probability(record.p_value)} (floor {probability(record.p_floor)}), exact two-sample test of "
        f"{len(record.trained)} against {len(record.redrawn)} models"
        if several
        else f"ranks {place} of {len(record.redrawn) + 1} models; a rank is no test, and speaks of this one model"
    )
    reason = record.reason[:1].upper() + record.reason[1:]
    said = [f"{record.verdict}: {how}.", f"{reason}."]
    said += [f"Null: {record.null}", f"Surviving it licenses one to say: {record.licenses}", *record.notes]
    return tuple(said)


def difference_frame(record: DifferenceInDifferences) -> pd.DataFrame:
    """Return one row per model."""
    import pandas as pd

    trained = np.repeat([True, False], [len(record.trained), len(record.redrawn)])
    return pd.DataFrame({"trained": trained, "selectivity": np.concatenate([record.trained, record.redrawn])})


def components_frame(record: DifferenceInDifferences) -> pd.DataFrame:
    """Return one row per part of the variance."""
    import pandas as pd

    return pd.DataFrame(_component_rows(record))
