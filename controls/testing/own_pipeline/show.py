"""A calibration as text, as HTML, as a data frame, as JSON and as a figure."""

from __future__ import annotations

import html
import io
import json
import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from controls.report.escape import clipped, no_commands, printable, with_text
from controls.report.format import count, duration, number, percent, probability
from controls.testing.own_pipeline.record import Calibration, CalibrationRow, Level, Rate

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = "controls.calibration/1"
_STYLES = {
    Level.KEPT: "bold green",
    Level.EXCEEDED: "bold red",
    Level.CANNOT: "bold yellow",
    Level.FEW: "bold yellow",
}
_CLAIM = "all: the claim HOLDS"
_NAMES = 40  # columns that names of controls get at least, where they are so long
Table = tuple[tuple[str, ...], list[tuple[str, ...]]]  # columns, and the cells of each row


def rate_words(rate: Rate) -> str:
    """Return a rate with its interval.

    Examples
    --------
    >>> rate_words(Rate(5, 100)), rate_words(Rate(0, 0))
    ('.05 [.016, .113]', 'not available')
    """
    if not rate.repetitions:
        return "not available"
    return f"{_share(rate.value)} [{_share(rate.low)}, {_share(rate.high)}]"


def _share(value: float) -> str:
    return f"{value:.3f}".lstrip("0").rstrip("0").rstrip(".") or "0" if value < 1 else "1"


def heading(record: Calibration) -> tuple[str, str]:
    """Return the title, and what was run."""
    title = record.title or f"Calibration of {record.trainer}"
    distinct = f" ({count(record.distinct)} different)" if record.distinct < record.repetitions else ""
    said = (
        f"{count(record.repetitions)} repetitions{distinct} of {record.metric}, {count(record.draws)} draws, alpha "
        f"{probability(record.alpha)} · {count(record.n)} rows in {count(record.n_units)} units ({record.unit}) · "
        f"{duration(record.seconds)}"
    )
    return title, said


def alarm_table(record: Calibration) -> Table:
    """Return what each control does where nothing was planted."""
    columns = ("control", "false alarms [95%]", "SELECTIVE [95%]", "selectivity", "level")
    rows = [
        (
            row.control,
            rate_words(row.rejections),
            rate_words(row.selective),
            f"{number(row.selectivity)} ± {number(row.selectivity_error)}",
            str(record.levels[row.control]),
        )
        for row in record.rows
        if row.effect == 0
    ]
    return columns, [*rows, (_CLAIM, "", rate_words(dict(record.claims)[0.0]), "", "")]


def power_table(record: Calibration) -> Table:
    """Return how often each control rejects at each effect, and how often the claim holds."""
    columns = ("power", *(f"effect {effect:g}" for effect in record.effects))
    rows = [(name, *(rate_words(rate) for rate in rates.values())) for name, rates in record.power.items()]
    held = (_CLAIM, *(rate_words(rate) for effect, rate in record.claims if effect > 0))
    score = (f"mean {record.metric}", *(number(value) for effect, value in record.scores if effect > 0))
    return columns, [*rows, held, score]


def sentences(record: Calibration) -> tuple[str, ...]:
    """Return what a reader must know beside the tables."""
    score = number(dict(record.scores)[0.0])
    said = [f"Without signal (mean {record.metric} {score}): {record.null}."]
    if record.signal:
        said.append(f"With signal: {record.signal}.")
    said += [_level_words(record, row) for row in record.rows if row.effect == 0]
    if Level.CANNOT not in record.levels.values():
        said.append(_visible_words(record))
    if record.failures:
        first = record.failures[0]
        said.append(
            f"{count(len(record.failures))} planted problems could not be measured and count neither way; the first, "
            f"repetition {first[0]} at effect {first[1]:g}: {first[2]}"
        )
    return (*said, *(f"NOT KEPT: {note}." for note in record.notes))


def _level_words(record: Calibration, row: CalibrationRow) -> str:
    level, rejected = record.levels[row.control], f"{row.rejections.count} of {row.rejections.repetitions} rejected"
    said = f"{row.control}: level {level}, {rejected} where there is nothing to find"
    match level:
        case Level.EXCEEDED:
            warned = (
                f" (a caveat of its own says so in {percent(row.warned.value)} of them)" if row.warned.count else ""
            )
            return f"{said}{warned}. Its p-values, and its power, mean nothing on this problem."
        case Level.CANNOT:
            floor = f"the smallest p that this design can give is {probability(row.p_floor)}, above alpha"
            return f"{row.control}: {level}: {floor}; more draws, or more units, are needed."
        case Level.FEW if record.distinct < record.repetitions:
            return (
                f"{row.control}: {level} relabelings: {count(record.repetitions)} repetitions met only "
                f"{count(record.distinct)} different ones, {rejected}; more units are needed, or another law in null=."
            )
        case Level.FEW:
            return f"{row.control}: {level} repetitions to say that the level is kept, {rejected}."
    return f"{said}."


def _visible_words(record: Calibration) -> str:
    what = "repetitions" if record.distinct == record.repetitions else "different relabelings"
    if record.visible is None:
        return f"{count(record.distinct)} {what} are too few to see any rate of false alarms."
    return (
        f"So many {what} show, nine times in ten, a rate of false alarms of {_share(record.visible)} or more; "
        "smaller excesses go unseen."
    )


def as_text(record: Calibration, *, width: int = 110) -> str:
    """Return a calibration as plain text of at most ``width`` columns."""
    from rich import box
    from rich.console import Console, Group
    from rich.padding import Padding
    from rich.table import Table as RichTable
    from rich.text import Text

    shown = with_text(record, lambda text: no_commands(printable(text)))
    console = Console(
        file=io.StringIO(),
        width=width,
        force_terminal=False,
        force_jupyter=False,
        color_system=None,
        legacy_windows=False,
    )
    title, said = heading(shown)
    parts: list[Any] = [Text(title, style="bold"), Text(said)]
    for columns, rows in tables(shown):
        table = RichTable(box=box.SIMPLE_HEAD, pad_edge=True, padding=(0, 1, 0, 0), header_style="bold")
        for column in columns:
            narrowest = min(_NAMES, max(len(row[0]) for row in rows)) if column == columns[0] else None
            table.add_column(Text(column), overflow="fold", min_width=narrowest)
        for row in rows:
            table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))  # type: ignore[call-overload]
        parts.append(table)
    parts += [Padding(Text(sentence), (0, 0, 0, 1)) for sentence in sentences(shown)]
    console.print(Group(*parts), markup=False, highlight=False, emoji=False)
    written = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in written.splitlines())


def tables(record: Calibration) -> list[Table]:
    """Return the tables of a calibration: false alarms, and power where effects were planted."""
    return [alarm_table(record), *([power_table(record)] if record.effects else [])]


def as_html(record: Calibration) -> str:
    """Return a calibration as a piece of HTML for a notebook cell; all text is escaped."""
    shown = with_text(record, printable)
    title, said = heading(shown)
    parts = [f"<p><strong>{html.escape(title)}</strong><br>{html.escape(said)}</p>"]
    for columns, rows in tables(shown):
        head = "".join(f"<th>{html.escape(column)}</th>" for column in columns)
        body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
        parts.append(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")
    listed = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in sentences(shown))
    return f"<div>{''.join(parts)}<ul>{listed}</ul></div>"


def as_frame(record: Calibration) -> pd.DataFrame:
    """Return one row per control and effect."""
    import pandas as pd

    return pd.DataFrame([_plain_row(record, row) for row in record.rows])


def _plain_row(record: Calibration, row: CalibrationRow) -> dict[str, Any]:
    level = str(record.levels[row.control]) if row.effect == 0 else ""
    flat: dict[str, Any] = {"control": row.control, "effect": row.effect}
    for name in ("rejections", "selective", "warned"):
        rate: Rate = getattr(row, name)
        flat |= {name: rate.count, f"{name}_rate": rate.value, f"{name}_low": rate.low, f"{name}_high": rate.high}
    return flat | {
        "repetitions": row.rejections.repetitions,
        "selectivity": row.selectivity,
        "selectivity_error": row.selectivity_error,
        "p_floor": row.p_floor,
        "alpha": record.alpha,
        "level": level,
    }


def as_json(record: Calibration) -> str:
    """Return the record as JSON, null where a number is not defined."""
    found = asdict(record) | {
        "schema": SCHEMA,
        "rows": [_plain_row(record, row) for row in record.rows],
        "claims": [{"effect": effect, **asdict(rate), "rate": rate.value} for effect, rate in record.claims],
        "scores": [{"effect": effect, "score": score} for effect, score in record.scores],
        "levels": {name: str(level) for name, level in record.levels.items()},
        "visible": record.visible,
    }
    return json.dumps(_without_nan(found), indent=1, ensure_ascii=False)


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _without_nan(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def plot(record: Calibration) -> Any:
    """Return the figure: rejections over effects, with 95% intervals, and alpha as a dashed line."""
    import matplotlib as mpl
    from matplotlib import style
    from matplotlib.figure import Figure

    from controls.report.palette import LIGHT
    from controls.report.plots import any_glyph

    colours = (LIGHT.observed, LIGHT.drawn, "#009e73", "#cc79a7", "#e69f00", LIGHT.muted)
    with style.context("default"), mpl.rc_context({"font.size": 8.5, "text.parse_math": False}), any_glyph():
        figure = Figure(figsize=(5.6, 3.4), facecolor=LIGHT.surface, layout="constrained")
        axes = figure.subplots()
        axes.axhline(record.alpha, color=LIGHT.muted, lw=0.9, ls=(0, (4, 2)))
        drawn = []
        for place, name in enumerate(record.controls):
            found, colour = record[name], colours[place % len(colours)]
            x = [row.effect for row in found]
            rates = [row.rejections.value for row in found]
            drawn += axes.plot(x, rates, "osD^v"[place % 5], color=colour, ls="-", lw=1.4, ms=5)
            for row in found:
                axes.plot([row.effect] * 2, [row.rejections.low, row.rejections.high], color=colour, lw=1.2)
        labels = [clipped(name, 40) for name in record.controls]
        axes.legend(drawn, labels, frameon=False)
        axes.set(ylim=(-0.02, 1.02), ylabel="share that rejects", xlabel="size of the planted signal (0: none)")
        axes.spines[["right", "top"]].set_visible(False)
        axes.set_title(clipped(heading(record)[0], 60), loc="left", fontsize=9, fontweight="bold")
        axes.set_title(f"bars: {percent(0.95)} intervals; dashes: alpha", loc="right", fontsize=7, color=LIGHT.muted)
    return figure
