"""Everything that shows a Result, a Sweep, or models compared. Reports are functions of those records alone.

Each function imports what it needs when called, so that importing this package stays light.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from controls.core.model_comparison import ModelComparison
from controls.core.result import DifferenceInDifferences
from controls.report.annotations import as_annotations
from controls.report.claims import Record, all_shown, checked, shown
from controls.report.differences import components_frame, difference_frame, difference_text
from controls.report.escape import printable, with_text
from controls.report.junit import as_junit
from controls.report.markdown import as_markdown
from controls.report.parquet import as_parquet

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from rich.console import Console

    from controls.report.schema import AnyRecord

__all__ = [
    "as_annotations",
    "as_frame",
    "as_html",
    "as_html_fragment",
    "as_json",
    "as_junit",
    "as_markdown",
    "as_parquet",
    "as_text",
    "components_frame",
    "difference_frame",
    "difference_text",
    "from_json",
    "plot",
    "print_result",
    "save",
    "save_page",
]


def as_text(record: Record, *, width: int = 110) -> str:
    """Return a record as a plain table followed by its verdicts in words; no colours.

    Parameters
    ----------
    record : Result or Sweep
        What is shown.
    width : int
        Columns of text to fit into.

    Returns
    -------
    str
        Lines without trailing blanks.

    Raises
    ------
    InputTypeError
        For anything but a Result or a Sweep.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> problem = ct.Problem(np.eye(6), [0, 0, 0, 1, 1, 1])
    >>> result = ct.measure(ct.probes.RidgeProbe(), problem, controls=[ct.ShuffleLabels()], cv=2)
    >>> print(as_text(result, width=100).splitlines()[-1])
    CLAIM UNDECIDED. Not shown to be selective against ShuffleLabels.
    """
    from controls.report import table

    return table.text(shown(record), width)


def print_result(record: Record, console: Console | None = None) -> None:
    """Print a record to a rich console, in colour where the terminal has any.

    Parameters
    ----------
    record : Result or Sweep
        What is shown.
    console : rich.console.Console, optional
        Where to; standard output where None.
    """
    from rich.console import Console

    from controls.report import table

    table.show(shown(record), console or Console())


def as_html_fragment(record: Record) -> str:
    """Return a record as a small piece of HTML for a notebook cell; it takes its colours from the notebook."""
    from controls.report import page

    return page.fragment(shown(record))


def as_html(records: Record | Sequence[Record], *, title: str = "") -> str:
    """Return one self-contained web page; it loads nothing and follows the reader's light or dark setting.

    Parameters
    ----------
    records : Result, Sweep, or sequence of them
        What is shown, in this order. Several get an overview table and a table of contents.
    title : str
        Title of the page; that of the record where there is one record and no title.

    Returns
    -------
    str
        HTML. All text from the records is escaped.

    Raises
    ------
    InputError
        For an empty sequence.

    Notes
    -----
    About 0.3 s per figure; up to about 250 draws per control are drawn as dots, more as a histogram,
    so that a page of 100 000 draws is no larger than one of 250.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> problem = ct.Problem(np.eye(6), [0, 0, 0, 1, 1, 1])
    >>> result = ct.measure(ct.probes.RidgeProbe(), problem, controls=[ct.ShuffleLabels()], cv=2)
    >>> as_html(result, title="Six rows").count("<svg")
    1
    """
    from controls.report import page

    return page.page(all_shown(records), printable(title))


def as_frame(record: Record) -> pd.DataFrame:
    """Return one row per control (and site), unrounded, as a pandas DataFrame."""
    from controls.report import frame

    return frame.frame(checked(record))


def as_json(record: AnyRecord, path: str | Path | None = None) -> str:
    """Return a record as versioned JSON, and write it to a file where a path is given.

    Parameters
    ----------
    record : Result, Sweep, DifferenceInDifferences or ModelComparison
        What is written: every field, nothing else. NaN and infinities become null.
    path : str or Path, optional
        File to write, in one step; folders are made where needed.

    Returns
    -------
    str
        The JSON text.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    from controls.report import files

    text = files.to_json(record)
    if path is not None:
        files.write_text(Path(path), text)
    return text


def from_json(text_or_path: str | Path) -> AnyRecord:
    """Return the record that JSON text holds, or the file at a path, or ``result.json`` in a folder.

    Parameters
    ----------
    text_or_path : str or Path
        JSON text (it starts with a brace), or where to read it.

    Returns
    -------
    Result, Sweep, DifferenceInDifferences or ModelComparison
        Equal to what was written, field by field, except that infinities come back as NaN.

    Raises
    ------
    ControlsError
        For a file of another program or of a newer version.
    InputError
        For a file that cannot be read or whose fields do not fit.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> problem = ct.Problem(np.eye(6), [0, 0, 0, 1, 1, 1])
    >>> result = ct.measure(ct.probes.RidgeProbe(), problem, controls=[ct.ShuffleLabels()], cv=2)
    >>> from_json(as_json(result)).score == result.score
    True
    """
    from controls.report import files

    return files.read_json(text_or_path)


def plot(record: AnyRecord) -> Figure:
    """Return a matplotlib Figure: observed score, draws, selectivity and its interval for each control.

    For a Sweep: score and control mean over the sites, for each control. For a DifferenceInDifferences or a
    ModelComparison: a mark per model, and the difference with its interval. pyplot is not used and no setting is
    changed, so nothing needs closing.
    """
    from controls.report import model_plots, plots

    if isinstance(record, (DifferenceInDifferences, ModelComparison)):
        return model_plots.figure(with_text(record, printable))
    return plots.figure(shown(record))


def save(record: Record, folder: str | Path) -> Path:
    """Write ``result.json``, ``report.html``, ``junit.xml`` and ``summary.md`` into a folder, each in one step.

    Parameters
    ----------
    record : Result or Sweep
        What is written.
    folder : str or Path
        Made where needed; files of these names in it are replaced.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    InputError
        If the folder cannot be written.
    """
    texts = {"result.json": as_json(record), "junit.xml": as_junit(record), "summary.md": as_markdown(record)}
    page = as_html(record)
    for name, text in texts.items():
        _write(text, Path(folder) / name)
    return _write(page, Path(folder) / "report.html")


def save_page(records: Record | Sequence[Record], path: str | Path, title: str = "") -> Path:
    """Write one page about several records to a file, in one step, and return its path."""
    return _write(as_html(records, title=title), Path(path))


def _write(text: str, path: Path) -> Path:
    from controls.report import files

    files.write_text(path, text)
    return path
