"""`textleak vision`: the image half of the paper."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from textleak.core.writing import check_writable
from textleak.vision.config import ImageRunConfig

from .options import Config, Given, command, of
from .output import Output, OutputOptions

app = typer.Typer(add_completion=False, rich_markup_mode=None)
_ATTACKERS = ("attack", "options", "time_limit", "max_evaluations", "seed", "every")
_CLIENTS = (
    "image",
    "data",
    "dataset",
    "split",
    "size",
    "defences",
    "client_seed",
    "share",
    "labels_known",
)


@app.callback()
def vision() -> None:
    """Measure how much private images leak from shared gradients."""


@command(app, given=of(ImageRunConfig), shown=of(OutputOptions))
def attack(given: Given, shown: Given, config: Config = None) -> int:
    """Share the gradient of your pictures as a client would, and see it give them back."""
    run = given.over(config, ImageRunConfig)
    output = Output(shown.made(OutputOptions))
    with output.busy("loading …"):
        from .vision_run import conduct, prepare

        prepared = prepare(run)
    return conduct(output, prepared)


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
        from . import vision_run
        from .capture import write

        shared = vision_run.share(run)
    write(output, shared.update, "image", run.client_seed)
    return 0


@command(app, given=of(ImageRunConfig, without=_CLIENTS), shown=of(OutputOptions))
def invert(
    given: Given,
    shown: Given,
    update: Annotated[Path, typer.Argument(help="A .safetensors file of named gradients.")],
    reference: Annotated[
        Path | None,
        typer.Option(help="The true pictures to score against: file or folder."),
    ] = None,
    shape: Annotated[str | None, typer.Option(help="As 1,28,28, if the file does not say.")] = None,
    config: Config = None,
) -> int:
    """Attack an update that vision attack saved, or your own training as named gradients.

    The network, its weights, its activation and the number of pictures are those that the file names,
    unless given.
    """
    run = given.over(config, ImageRunConfig)
    output = Output(shown.made(OutputOptions))
    with output.busy(f"reading {update} …"):
        from .vision_received import prepare
        from .vision_run import conduct

        prepared = prepare(update, run, shape, reference)
    return conduct(output, prepared)
