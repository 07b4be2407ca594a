"""The command line: arguments in, experiments and reports out. Heavy imports wait until a command needs them."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from controls.core.errors import ControlsError

ERROR = 3  # exit code where an argument or a problem was refused
INTERRUPTED = 130  # what shells use for Ctrl-C

app = typer.Typer(
    name="controls",
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
            print(f"controls: {error}", file=sys.stderr)
            raise typer.Exit(ERROR) from None
        except KeyboardInterrupt:
            print("controls: interrupted.", file=sys.stderr)
            raise typer.Exit(INTERRUPTED) from None

    return guarded


@app.command()
@_guarded
def demo(
    draws: Annotated[int | None, typer.Option(help="Draws per control for names (default 39).")] = None,
    file_draws: Annotated[int | None, typer.Option(help="Draws for the question about files (199).")] = None,
    folder: Annotated[Path, typer.Option(help="Where the page and the JSON files go.")] = Path("controls-demo"),
    seed: Annotated[int, typer.Option(help="Seed of every random stream.")] = 0,
) -> None:
    """Probe a real model for real labels, beside controls, in under two minutes."""
    from controls.demo.run import run

    run(draws, folder, seed, file_draws=file_draws)


@app.command("list")
@_guarded
def list_controls() -> None:
    """List every control: its parameters, what it keeps and destroys, and what surviving it licenses."""
    from controls.catalogue import print_catalogue

    print_catalogue()


@app.command()
@_guarded
def calibrate(
    docs: Annotated[Path | None, typer.Option(help="Write the page of results to this file.")] = None,
    short: Annotated[bool, typer.Option("--short", help="Fewer repetitions.")] = False,
    json: Annotated[Path | None, typer.Option(help="Write the counts to this file.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes to use.")] = 1,
) -> None:
    """Count the false alarms of every exact control on problems where the null is true."""
    from controls.testing import calibrate as calibration

    if not calibration.run(short, docs, json, jobs):
        raise typer.Exit(1)
