"""`textleak replay`: a saved run again, from its events."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from . import options as o
from .output import Output

app = typer.Typer(add_completion=False)


@app.command()
def replay(
    folder: Annotated[Path, typer.Argument(help="A folder that --save wrote.")],
    speed: Annotated[
        float, typer.Option(min=0, help="2 is twice as fast; 0 does not wait at all.")
    ] = 1.0,
    every: o.Every = None,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> int:
    """Show a saved run again, as fast as asked."""
    from textleak.report.replaying import show_again
    from textleak.results.folder import SavedRun

    run = SavedRun(folder)
    output = Output(quiet=quiet)
    show_again(run, output.console, output.mode, every or run.every, speed, time.sleep)
    return 0
