"""The command line: arguments in, experiments and reports out. Heavy imports wait until a command needs them."""

from __future__ import annotations

import functools
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from controls.core.errors import ControlsError

ERROR = 3  # exit code where an argument or a problem was refused
BUG = 4  # exit code where the library itself failed: 1 and 2 speak of claims
INTERRUPTED = 130  # what shells use for Ctrl-C


class _Commands(TyperGroup):
    """Leaves with 3, not with 2, where the command line itself cannot be read: 2 says that a claim is undecided."""

    def make_context(self, *args: Any, **named: Any) -> Any:
        with _refused_as_bad_input():
            return super().make_context(*args, **named)

    def invoke(self, ctx: Any) -> Any:
        with _refused_as_bad_input():
            return super().invoke(ctx)


@contextmanager
def _refused_as_bad_input() -> Iterator[None]:
    try:
        yield
    except typer.Exit:
        raise
    except Exception as error:
        if getattr(error, "exit_code", None) == 2:  # errors of usage, whose class typer does not make public
            error.exit_code = ERROR  # type: ignore[attr-defined]
        raise


app = typer.Typer(
    name="controls",
    cls=_Commands,
    help="Statistical controls for interpretability: would your probe have found it anyway?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _guarded(command: Callable[..., Any]) -> Callable[..., Any]:
    """Turn errors of the library and Ctrl-C into one line and an exit code."""

    @functools.wraps(command)
    def guarded(*args: Any, **options: Any) -> Any:
        try:
            return command(*args, **options)
        except ControlsError as error:
            if options.get("traceback"):
                traceback.print_exception(error)
            print(f"controls: {error}", file=sys.stderr)
            raise typer.Exit(ERROR) from None
        except KeyboardInterrupt as interrupt:
            print(f"controls: {str(interrupt) or 'interrupted.'}", file=sys.stderr)
            raise typer.Exit(INTERRUPTED) from None
        except (typer.Exit, typer.Abort):
            raise
        except SystemExit as error:  # its code would be read as a verdict
            print(f"controls: code of a trainer or control left by sys.exit({error.code!r}).", file=sys.stderr)
            raise typer.Exit(ERROR) from None
        except Exception as error:
            traceback.print_exception(error)
            print("controls: this is a bug in controls; please report it with the lines above.", file=sys.stderr)
            raise typer.Exit(BUG) from None

    return guarded


@app.command()
@_guarded
def demo(
    draws: Annotated[int | None, typer.Option(help="Draws per control for names (default 39).")] = None,
    model_draws: Annotated[int | None, typer.Option(help="Redrawn models per control on weights (19).")] = None,
    file_draws: Annotated[int | None, typer.Option(help="Draws for the question about files (199).")] = None,
    folder: Annotated[Path, typer.Option(help="Where the page and the JSON files go.")] = Path("controls-demo"),
    seed: Annotated[int, typer.Option(help="Seed of every random stream.")] = 0,
) -> None:
    """Probe a real model for real labels, beside controls, in about two minutes."""
    from controls.demo.run import run

    run(draws, folder, seed, model_draws=model_draws, file_draws=file_draws)


@app.command("list")
@_guarded
def list_controls() -> None:
    """List every control: its parameters, what it keeps and destroys, and what surviving it licenses."""
    from controls.catalogue import print_catalogue

    print_catalogue()


@app.command()
@_guarded
def calibrate(
    docs: Annotated[Path | None, typer.Option(help="Write the page of results to this file, figures beside.")] = None,
    short: Annotated[
        bool, typer.Option("--short", help="Few repetitions: gross failures, in under 3 minutes.")
    ] = False,
    json: Annotated[Path | None, typer.Option(help="Write the numbers to this file.")] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes to use (one per core).")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Only this theme or case; can be given again.")] = None,
) -> None:
    """Run every control and probe in worlds whose answer is known. Leaves with 0: all passed, 1: a case missed."""
    from controls.testing import calibrate as calibration

    if not calibration.run(short=short, docs=docs, json=json, jobs=jobs, only=only or ()):
        raise typer.Exit(1)


_Study = Annotated[Path, typer.Argument(help="A study file (TOML).", show_default=False)]
_Folder = Annotated[Path, typer.Argument(help="The folder of a run.", show_default=False)]
_Draws = Annotated[int | None, typer.Option(min=1, help="Draws per control, in place of those of the file.")]
_Jobs = Annotated[int | None, typer.Option(help="Processes for fits that go one by one.")]
_NoImport = Annotated[bool, typer.Option("--no-import", help="Refuse every module:name: run no code of others.")]
_Traceback = Annotated[bool, typer.Option("--traceback", help="Show where an error came from.")]
_Junit = Annotated[Path | None, typer.Option(help="Write JUnit XML to this file.")]
_Summary = Annotated[
    Path | None, typer.Option(envvar="GITHUB_STEP_SUMMARY", help="Add a Markdown summary to this file.")
]
_Annotations = Annotated[
    bool, typer.Option(envvar="GITHUB_ACTIONS", help="Print annotations for GitHub, a line for each claim.")
]
_Parquet = Annotated[Path | None, typer.Option(help="Write a row for each claim and control to this file.")]


@app.command("run")
@_guarded
def run_study(
    study: _Study,
    out: Annotated[Path | None, typer.Option(help="Folder to keep the run in (the study file's, as .run).")] = None,
    draws: _Draws = None,
    jobs: _Jobs = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would run, as `controls plan` does.")] = False,
    no_import: _NoImport = False,
    junit: _Junit = None,
    summary: _Summary = None,
    annotations: _Annotations = False,
    parquet: _Parquet = None,
    traceback: _Traceback = False,
) -> None:
    """Measure the claims of a study file. Leaves with 0: all hold, 1: one failed, 2: undecided, 3: bad input."""
    if dry_run:
        plan_study(study, draws=draws, jobs=jobs, no_import=no_import, traceback=traceback)
        return
    from rich.console import Console

    from controls.study_file import judge, reports, run, show
    from controls.study_file.progress import bar

    reports.check_places(junit=junit, summary=summary, parquet=parquet)
    overrides = {} if draws is None else {"draws": draws}
    with bar() as progress:
        done = run.run(study, out, overrides=overrides, imports=not no_import, n_jobs=jobs, progress=progress)
    show.show(done, Console())  # before anything is written, which may fail where the disk is full
    reports.write_results(done)
    reports.write(done, junit=junit, summary=summary, parquet=parquet, annotations=annotations)
    raise typer.Exit(judge.exit_code(done.claims))


@app.command("plan")
@_guarded
def plan_study(
    study: _Study,
    draws: _Draws = None,
    jobs: _Jobs = None,
    no_timing: Annotated[bool, typer.Option("--no-timing", help="Do not time a block of fits.")] = False,
    no_import: _NoImport = False,
    traceback: _Traceback = False,
) -> None:
    """Show what a study file would run, how long it takes and the floor of p, before anything is measured."""
    from controls.study_file.preview import preview

    overrides = {} if draws is None else {"draws": draws}
    print(preview(study, overrides=overrides, imports=not no_import, timing=not no_timing, n_jobs=jobs))


@app.command("show")
@_guarded
def show_run(folder: _Folder, traceback: _Traceback = False) -> None:
    """Print the tables of a run again."""
    from rich.console import Console

    from controls.study_file import run, show

    show.show(run.read_run(folder), Console())


@app.command("report")
@_guarded
def report_run(
    folder: _Folder,
    html: Annotated[Path | None, typer.Option(help="Write the page to this file (report.html in the run).")] = None,
    junit: _Junit = None,
    summary: _Summary = None,
    annotations: _Annotations = False,
    parquet: _Parquet = None,
    traceback: _Traceback = False,
) -> None:
    """Write reports of a run from what it keeps alone."""
    from controls.study_file import reports, run

    done = run.read_run(folder)
    print(reports.write(done, html=html, junit=junit, summary=summary, parquet=parquet, annotations=annotations))
