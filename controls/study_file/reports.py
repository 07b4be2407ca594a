"""Write the reports of a run that people and machines ask for."""

from __future__ import annotations

from pathlib import Path

from controls import report
from controls.core.errors import InputError
from controls.report.files import check_place, write_text
from controls.report.parquet import require_polars
from controls.study_file.run import Run
from controls.study_file.show import save_report


def check_places(*, junit: Path | None, summary: Path | None, parquet: Path | None) -> None:
    """Refuse, before anything is measured, reports that could not be written afterwards."""
    if parquet is not None:
        require_polars()
    for path in (junit, summary, parquet):
        if path is not None:
            check_place(path)


def write(
    run: Run,
    *,
    html: Path | None = None,
    junit: Path | None = None,
    summary: Path | None = None,
    parquet: Path | None = None,
    annotations: bool = False,
) -> Path:
    """Write the page of a run, and what else is asked for; return the page's path.

    Parameters
    ----------
    html, junit, parquet : Path, optional
        Files that are written anew.
    summary : Path, optional
        A file that Markdown is added to, as GitHub's job summaries want it.
    annotations : bool
        Whether to print a line for each claim that GitHub shows beside the study file.
    """
    results = {claim.name: claim.result for claim in run.claims}
    if junit is not None:
        write_text(junit, report.as_junit(results, file=run.file))
    if parquet is not None:
        report.as_parquet(results, parquet)
    if summary is not None:
        _add(summary, report.as_markdown(results))
    if annotations:
        lines = {claim.name: claim.line for claim in run.claims}
        print(report.as_annotations(results, file=run.file, lines=lines))
    return save_report(run, html)


def write_results(run: Run) -> None:
    """Write what each claim of a run found, taken alone, as a file in its folder that ``ct.load`` reads."""
    for number, record in enumerate(run.records.values(), start=1):
        report.as_json(record, run.folder / ("result.json" if len(run.records) == 1 else f"result-{number}.json"))


def _add(path: Path, text: str) -> None:
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text + "\n")
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be written ({error.strerror or error}); name another file.") from error
