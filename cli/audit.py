"""`textleak audit`: every combination of a grid, unattended, resumed where it stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic import BaseModel, ConfigDict

from textleak.core.bounds import Count
from textleak.core.option import GRID, Option

from .config_file import grid_source
from .options import Given, command, of
from .output import Output, OutputOptions

app = typer.Typer(add_completion=False, rich_markup_mode=None)


class GridOptions(BaseModel):
    """What the command line says of any grid besides its file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    output: Annotated[Path | None, Option("Folder; default audits/NAME.", GRID, ("-o",))] = None
    model: Annotated[
        tuple[str, ...], Option("In the place of the grid's models; repeat.", GRID, ("-m",))
    ] = ()
    count: Annotated[Count | None, Option("Take so many of each set.", GRID)] = None
    workers: Annotated[Count | None, Option("Runs at a time; default one a core.", GRID)] = None
    executor: Annotated[Literal["local", "ray"], Option("Who runs them.", GRID)] = "local"
    ray_address: Annotated[
        str | None, Option("An existing Ray cluster; default one started here.", GRID)
    ] = None
    dry_run: Annotated[bool, Option("Check, count and estimate; run nothing.", GRID)] = False
    retry_failed: Annotated[bool, Option("Run again what failed before.", GRID)] = False


class AuditOptions(GridOptions):
    """What it says of a grid on text."""

    texts: Annotated[
        str | None, Option("A .txt or .jsonl in the place of the grid's texts.", GRID)
    ] = None


@command(app, given=of(AuditOptions), shown=of(OutputOptions, only=("quiet", "debug")))
def audit(
    given: Given,
    shown: Given,
    config: Annotated[str, typer.Argument(help="A YAML file, or a packaged grid's name.")],
) -> int:
    """Run a grid of attacks; the same command goes on where it was stopped.

    Exit codes: 0 when every run is done, 1 when some failed, 2 for something to mend, 130 for an
    interruption.
    """
    options = given.made(AuditOptions)
    source = grid_source(config)
    output = Output(shown.made(OutputOptions))
    with output.busy("checking everything that the grid names …"):
        from textleak.core.cores import cores
        from textleak.grid.prepare import prepare_grid

        from .audit_run import GridCommand

        workers = options.workers or cores()
        models = list(options.model) or None
        grid = prepare_grid(
            source, workers=workers, texts=options.texts, models=models, count=options.count
        )
        prepared = GridCommand.prepared(output, grid, workers, config, options)
    return prepared.preview() if options.dry_run else prepared.run()
