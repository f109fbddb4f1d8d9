"""`textleak audit`: every combination of a grid, unattended, resumed where it stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from . import options as o
from .config_file import grid_source
from .output import Output

app = typer.Typer(add_completion=False)


@app.command()
def audit(
    config: Annotated[str, typer.Argument(help="A YAML file, or a packaged grid's name.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder; default audits/NAME.")
    ] = None,
    texts: Annotated[
        str | None, typer.Option(help="A .txt or .jsonl in the place of the grid's texts.")
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", help="In the place of the grid's models; repeat."),
    ] = None,
    count: Annotated[
        int | None, typer.Option(min=1, help="Take so many of each set of texts.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Runs at a time; default one a core.")
    ] = None,
    executor: Annotated[Literal["local", "ray"], typer.Option(help="Who runs them.")] = "local",
    ray_address: Annotated[
        str | None, typer.Option(help="An existing Ray cluster; default one started here.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check, count and estimate; run nothing.")
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Run again what failed before.")
    ] = False,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> int:
    """Run a grid of attacks; the same command goes on where it was stopped.

    Exit codes: 0 when every run is done, 1 when some failed, 2 for something to mend, 130 for an
    interruption.
    """
    source = grid_source(config)
    folder = output or Path("audits") / Path(config).stem
    shown = Output(quiet=quiet)
    with shown.busy("checking everything that the grid names …"):
        from .audit_run import GridCommand

        command = GridCommand.prepared(
            *(shown, source, folder),
            given=dict(texts=texts, models=model, count=count),
            workers=workers,
            executor=executor,
            address=ray_address,
            retry_failed=retry_failed,
        )
    return command.preview() if dry_run else command.run()
