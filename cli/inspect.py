"""`textleak inspect`: what a file holds, without attacking it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import options as o
from .output import Output

app = typer.Typer(add_completion=False)


@app.command()
def inspect(
    update: Annotated[Path, typer.Argument(help="An update, a checkpoint, an optimiser's state.")],
    model: o.Model = None,
    weights: o.Weights = None,
    weights_seed: o.WeightsSeed = None,
    activation: o.Activation = None,
    num_labels: o.NumLabels = None,
    task: o.Task = None,
    config: o.Config = None,
    json: o.Json = None,
    debug: o.Debug = False,
) -> int:
    """Say what a file holds, what it maps to, what an attacker could do with it, what is missing.

    Nothing is attacked. Without a model only the file itself is looked at.
    """
    given = dict(
        model=model, weights=weights, weights_seed=weights_seed, activation=activation,
        num_labels=num_labels, task=task,
    )  # fmt: skip
    run = o.resolve(config, given, None)
    output = Output(json=json)
    with output.busy(f"reading {update} …"):
        from textleak.audit import setup
        from textleak.results.record import json_text
        from textleak.updates import read
        from textleak.updates.inspection import inspected

        from . import received

        stored = read(update)
        loaded = None
        if "model" in run.model_fields_set or stored.metadata.model is not None:
            stated = run if "task" in run.model_fields_set or stored.metadata.task else None
            run = received.completed(stated or setup.settled(run), stored)
            loaded = setup.open_model(run)
        found = inspected(stored, loaded)
    output.write_json(json_text(found.model_dump(mode="json", by_alias=True)))
    for line in found.lines():
        output.say(line)
    return 0
