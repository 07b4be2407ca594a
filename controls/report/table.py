"""A record as a table for the terminal, and as plain text. Text of users is never read as markup."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from controls.core.result import ClaimVerdict, Comparison, Result, Sweep, Verdict
from controls.report import words
from controls.report.escape import no_commands, with_text
from controls.report.format import number, percent

_STYLES = {
    Verdict.SELECTIVE: "bold green",
    Verdict.NEGLIGIBLE: "yellow",
    Verdict.EQUIVALENT: "yellow",
    Verdict.WORSE: "bold red",
    Verdict.INCONCLUSIVE: "yellow",
    ClaimVerdict.HOLDS: "bold green",
    ClaimVerdict.FAILS: "bold red",
    ClaimVerdict.UNDECIDED: "bold yellow",
}


def text(record: Result | Sweep, width: int) -> str:
    """Return a record as plain text of at most ``width`` columns, without colours."""
    console = Console(
        file=io.StringIO(),
        width=width,
        force_terminal=False,
        force_jupyter=False,
        color_system=None,
        legacy_windows=False,
    )
    show(record, console)
    written = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in written.splitlines())


def show(record: Result | Sweep, console: Console) -> None:
    """Print a record to a console."""
    record = with_text(record, no_commands)
    parts = _result(record) if isinstance(record, Result) else _sweep(record)
    console.print(Group(*parts), markup=False, highlight=False, emoji=False)


def _result(result: Result) -> Iterable[RenderableType]:
    yield Text(words.title_of(result), style="bold")
    yield Text(f"{words.score_words(result)} · {words.units_words(result)}")
    yield _result_table(result)
    for comparison in result.comparisons:
        yield _comparison_words(comparison, result.ceiling)
    yield from _footer(result.notes, words.footnotes([result]))
    yield Text()
    yield _claim(result)


def _result_table(result: Result) -> Table:
    decimals = words.decimals_of(result)
    level = percent(result.score_estimate.level)
    rows = [
        (
            Text(comparison.control),
            number(comparison.control_mean, decimals),
            words.estimate_short(comparison.selectivity, decimals),
            words.p_short(comparison),
            _verdict(comparison.verdict),
        )
        for comparison in result.comparisons
    ]
    return _table(("control", "control mean", f"selectivity [{level} interval]", "p", "verdict"), rows)


def _comparison_words(comparison: Comparison, ceiling: float | None) -> RenderableType:
    line = Text(f"{comparison.control}  ", style="bold")
    line.append(str(comparison.verdict), style=_STYLES[comparison.verdict])
    line.append(f" ({words.draws_words(comparison)}). {words.sentence(comparison.reason)}", style="not bold")
    rescaled = words.rescaled_words(comparison, ceiling)
    line.append(f" {rescaled}" if rescaled else "", style="not bold")
    caveats = [_hanging("caveat", caveat) for caveat in comparison.caveats]
    return Group(_indented(line), *caveats)


def _sweep(sweep: Sweep) -> Iterable[RenderableType]:
    yield Text(words.title_of(sweep), style="bold")
    results = list(sweep.results.values())
    if results:
        yield Text(f"{results[0].metric} at {len(results)} sites · {words.units_words(results[0])}\n")
    for control in words.controls_of(sweep):
        yield _indented(Text(control, style="bold"))
        yield _sweep_table(sweep, control)
        pairs = words.along_sites(sweep, control).values()
        caveats = dict.fromkeys(caveat for _, comparison in pairs for caveat in comparison.caveats)
        yield from (_hanging("caveat", caveat) for caveat in caveats)
    yield from (_indented(Text(line)) for line in words.sweep_lines(sweep))
    notes = dict.fromkeys(note for result in results for note in result.notes)
    yield from _footer(notes, words.footnotes(results))


def _sweep_table(sweep: Sweep, control: str) -> Table:
    """Return a row per site: what one control says along the model is easier to follow than a block per site."""
    pairs = words.along_sites(sweep, control)
    level = percent(next(iter(pairs.values()))[1].selectivity.level)
    rows = []
    for site, (result, comparison) in pairs.items():
        decimals = words.decimals_of(result)
        rows.append(
            (
                Text(site),
                number(result.score, decimals),
                number(comparison.control_mean, decimals),
                words.estimate_short(comparison.selectivity, decimals),
                words.p_short(comparison),
                words.adjusted_short(sweep, control, site),
                _verdict(comparison.verdict),
            )
        )
    columns = ("site", "score", "control mean", f"selectivity [{level} interval]", "p", "adjusted p", "verdict")
    return _table(columns, rows)


def _table(columns: Sequence[str], rows: Sequence[tuple[str | Text, ...]]) -> Table:
    """Return a table that breaks numbers between words if it must, and never a verdict."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=True, padding=(0, 1, 0, 0), header_style="bold")
    for column in columns:
        narrowest = 12 if column.startswith("selectivity") else None
        table.add_column(Text(column), overflow="fold", no_wrap=column == "verdict", min_width=narrowest)
    for row in rows:
        table.add_row(*row)
    return table


def _verdict(verdict: Verdict) -> Text:
    return Text(str(verdict).replace("WORSE THAN ", "WORSE THAN\n"), style=_STYLES[verdict])


def _claim(result: Result) -> Text:
    line = Text("CLAIM ", style="bold")
    line.append(str(result.verdict), style=_STYLES[result.verdict])
    line.append(f". {words.sentence(result.reason)}", style="not bold")
    return line


def _footer(notes: Iterable[str], footnotes: Iterable[str]) -> Iterable[RenderableType]:
    for note in notes:
        yield _hanging("NOTE", note, style="bold yellow")
    for footnote in footnotes:
        yield _indented(Text(footnote, style="dim"))


def _indented(line: Text) -> Padding:
    return Padding(line, (0, 0, 0, 1))


def _hanging(label: str, said: str, style: str = "yellow") -> Table:
    """Return a labelled text whose further lines start under its first."""
    grid = Table.grid(padding=(0, 1))
    grid.add_row(Text(f" {label}", style=style), Text(said))
    return grid
