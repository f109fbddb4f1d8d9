"""`textleak replay`: a saved run again, from its events."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from textleak.core.config import RunConfig

from .options import Given, command, of
from .output import Output, OutputOptions

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@command(
    app,
    given=of(RunConfig, only=("every",)),
    shown=of(OutputOptions, only=("quiet", "debug")),
)
def replay(
    given: Given,
    shown: Given,
    folder: Annotated[Path, typer.Argument(help="A folder that --save wrote.")],
    speed: Annotated[
        float, typer.Option(min=0, help="2 is twice as fast; 0 does not wait at all.")
    ] = 1.0,
) -> int:
    """Show a saved run again, as fast as asked."""
    from textleak.report.replaying import show_again
    from textleak.results.folder import SavedRun

    run = SavedRun(folder)
    output = Output(shown.made(OutputOptions))
    every = given.made(RunConfig).every if given.values else run.every
    show_again(run, output.console, output.mode, every, speed, time.sleep)
    return 0
