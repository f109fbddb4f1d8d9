"""`textleak vision`: the image half of the paper."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from textleak.core.image_config import ImageRunConfig
from textleak.core.writing import check_writable

from . import replay
from .audit import GridOptions
from .config_file import IMAGE_GRIDS, grid_source
from .options import After, Before, Config, Given, Received, command, of
from .output import Output, OutputOptions

app = typer.Typer(add_completion=False, rich_markup_mode=None)
_ATTACKERS = (
    "protocol",
    "count",
    "attack",
    "options",
    "time_limit",
    "max_evaluations",
    "seed",
    "every",
)
_CLIENTS = (
    "image",
    "data",
    "dataset",
    "split",
    "count",
    "size",
    "client_seed",
    "share",
    "labels_known",
)


@app.callback()
def vision() -> None:
    """Measure how much private images leak from shared gradients."""


@command(app, given=of(ImageRunConfig, without=("protocol",)), shown=of(OutputOptions))
def attack(given: Given, shown: Given, config: Config = None) -> int:
    """Share the gradient of your pictures as a client would, and see it give them back."""
    run = given.over(config, ImageRunConfig)
    output = Output(shown.made(OutputOptions))
    with output.busy("loading …"):
        from textleak.vision.audit import audit_images
        from textleak.vision.setup import build_attack, run_header, sharing

        from .vision_recording import conduct

        chosen = build_attack(run)
        shared = sharing(run)
    header = run_header("vision attack", run, shared.model, chosen, notes=shared.notes)
    return conduct(
        output,
        run,
        header,
        lambda watcher: audit_images(
            shared.model,
            chosen,
            shared.exchanges,
            seed=run.seed,
            budget=run.budget,
            watcher=watcher,
        ),
    )


@command(
    app,
    given=of(ImageRunConfig, without=_ATTACKERS, also={"client_seed": "--seed"}),
    shown=of(OutputOptions, only=("debug",)),
)
def capture(
    given: Given,
    shown: Given,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The update to write, .safetensors.")
    ],
    config: Config = None,
) -> int:
    """Write the update of one training step on your pictures, and what the attacker is granted."""
    run = given.over(config, ImageRunConfig)
    check_writable(output)
    with Output().busy("loading …"):
        from textleak.vision.setup import sharing

        from .capture import write

        shared = sharing(run.merged({"count": None}))
        (client, private), *_ = shared.clients
        update = client.share(private)
    write(output, update, "image", run.client_seed)
    return 0


@command(app, given=of(ImageRunConfig, without=_CLIENTS), shown=of(OutputOptions))
def invert(
    given: Given,
    shown: Given,
    update: Received = None,
    before: Before = None,
    after: After = None,
    reference: Annotated[
        Path | None,
        typer.Option(help="The true pictures to score against: file or folder."),
    ] = None,
    shape: Annotated[str | None, typer.Option(help="As 1,28,28, if the file does not say.")] = None,
    config: Config = None,
) -> int:
    """Attack an update written by capture, or by your own training: gradients or two checkpoints.

    The network, its weights, its activation and the number of pictures are those that the file names,
    unless given.
    """
    run = given.over(config, ImageRunConfig)
    output = Output(shown.made(OutputOptions))
    with output.busy(f"reading {update or after or before} …"):
        from textleak.vision.audit import audit_images
        from textleak.vision.setup import run_header

        from .files import read_files
        from .vision_received import prepare
        from .vision_recording import conduct

        read = prepare(read_files(update, before, after), run, shape, reference)
    for line in read.fitted.notes:
        output.say(line)
    header = run_header("vision invert", read.config, read.model, read.attack, received=read.fitted)
    return conduct(
        output,
        read.config,
        header,
        lambda watcher: audit_images(
            read.model,
            read.attack,
            [(lambda: read.fitted.update, read.private)],
            seed=run.seed,
            budget=run.budget,
            watcher=watcher,
        ),
    )


@command(app, given=of(GridOptions), shown=of(OutputOptions, only=("quiet", "debug")))
def audit(
    given: Given,
    shown: Given,
    config: Annotated[str, typer.Argument(help="A YAML file, or a packaged grid's name.")],
) -> int:
    """Run a grid of attacks on pictures; the same command goes on where it was stopped.

    Exit codes: 0 when every run is done, 1 when some failed, 2 for something to mend, 130 for an
    interruption.
    """
    options = given.made(GridOptions)
    source = grid_source(config, IMAGE_GRIDS)
    output = Output(shown.made(OutputOptions))
    with output.busy("checking everything that the grid names …"):
        from textleak.core.cores import cores
        from textleak.vision.grid.prepare import prepare_images

        from .audit_run import GridCommand

        workers = options.workers or cores()
        models = list(options.model) or None
        grid = prepare_images(source, workers=workers, models=models, count=options.count)
        prepared = GridCommand.prepared(output, grid, workers, config, options)
    return prepared.preview() if options.dry_run else prepared.run()


app.add_typer(replay.app)
