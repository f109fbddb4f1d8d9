"""`textleak inspect`: what a file holds, without attacking it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from textleak.core.config import RunConfig
from textleak.core.task_names import TEXT_TASKS

from .options import Config, Given, command, of
from .output import Output, OutputOptions

app = typer.Typer(add_completion=False, rich_markup_mode=None)
_NAMED = ("model", "weights", "weights_seed", "activation", "num_labels", "task")


@command(app, given=of(RunConfig, only=_NAMED), shown=of(OutputOptions, only=("json_to", "debug")))
def inspect(
    given: Given,
    shown: Given,
    update: Annotated[Path, typer.Argument(help="An update, a checkpoint, an optimiser's state.")],
    config: Config = None,
) -> int:
    """Say what a file holds, what it maps to, what an attacker could do with it, what is missing.

    Nothing is attacked. Without a model only the file itself is looked at.
    """
    run = given.over(config, RunConfig)
    output = Output(shown.made(OutputOptions))
    with output.busy(f"reading {update} …"):
        from textleak.audit import setup
        from textleak.results.record import json_text
        from textleak.updates import read
        from textleak.updates.inspection import inspected

        from . import received

        stored = read(update)
        loaded = None
        pictures = stored.metadata.task not in (None, *TEXT_TASKS)
        if not pictures and ("model" in run.model_fields_set or stored.metadata.model is not None):
            stated = run if "task" in run.model_fields_set or stored.metadata.task else None
            run = received.completed(stated or setup.settled(run), stored)
            loaded = setup.open_model(run)
        found = inspected(stored, loaded)
    output.write_json(json_text(found.model_dump(mode="json", by_alias=True)))
    for line in found.lines():
        output.say(line)
    return 0
