"""Run the cases in processes, show them, and write them down."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from controls.core.errors import InputError
from controls.testing.calibrate.outcome import Judged, Outcome, attempt
from controls.testing.suite.case import Case, Effort
from controls.testing.suite.cases import Theme, chosen


def run(
    *,
    short: bool = False,
    docs: Path | None = None,
    json: Path | None = None,
    jobs: int | None = None,
    only: Sequence[str] = (),
) -> bool:
    """Run the cases, print them, write them where asked, and return whether all passed.

    Parameters
    ----------
    short : bool
        Few repetitions, to see gross failures.
    docs, json : path, optional
        Where to write the page (its figures go into a folder beside it, of the same name) and the numbers.
    jobs : int, optional
        Processes; as many as there are cores where None.
    only : sequence of str
        Names of themes or cases; all where empty.

    Raises
    ------
    NameNotFound
        For an unknown name in ``only``.
    InputError
        For a place that cannot be written to, before anything runs.
    """
    from rich.console import Console

    from controls.testing.calibrate.page import write_page
    from controls.testing.calibrate.table import as_table, progress

    cases = chosen(only)
    for place in (docs, json):
        _check_place(place)
    console, start = Console(), time.perf_counter()
    console = console if console.is_terminal else Console(width=140)  # in a file or a log, room for the words
    with progress(len(cases)) as advance:
        found = []
        for outcome in outcomes(cases, Effort(short), jobs):
            found.append(outcome)
            advance(outcome)
    order = [case.name for _, case in cases]
    found.sort(key=lambda outcome: order.index(outcome.case.name))
    calibration = Judged(tuple(found), short, time.perf_counter() - start)
    for outcome in found:
        if outcome.details:
            console.print(outcome.details, style="dim", markup=False, highlight=False)
    console.print(as_table(calibration))
    console.print(calibration.summary, highlight=False, markup=False)
    if json is not None:
        calibration.write_json(json)
    if docs is not None:
        write_page(calibration, docs)
    return calibration.passed


def outcomes(cases: Sequence[tuple[Theme, Case]], effort: Effort, jobs: int | None = 1) -> Iterator[Outcome]:
    """Yield the outcome of every case as it comes, each computed on one thread."""
    from joblib import Parallel, cpu_count, delayed

    n_jobs = min(jobs or cpu_count(), len(cases))
    settings: Any = {"batch_size": 1, "return_as": "generator_unordered"}  # joblib's own hints say text for both
    found: Any = Parallel(n_jobs, **settings)(delayed(_single)(theme, case, effort) for theme, case in cases)
    with closing(found):
        yield from found


def _single(theme: Theme, case: Case, effort: Effort) -> Outcome:
    from controls.runner.parallel import one_thread

    with one_thread():
        return attempt(theme, case, effort)


def _check_place(place: Path | None) -> None:
    if place is not None and (Path(place).is_dir() or not Path(place).absolute().parent.is_dir()):
        raise InputError(f"{place} must be a file in a folder that exists; make the folder, or write elsewhere.")
