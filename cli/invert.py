"""`textleak invert`: attack an update that came from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from textleak.core.config import RunConfig

from .options import After, Before, Config, Given, Received, command, of
from .output import Output, OutputOptions

app = typer.Typer(add_completion=False, rich_markup_mode=None)
_CLIENTS = (
    "sentences",
    "file",
    "batch_size",
    "classes",
    "num_labels",
    "mask_rate",
    "share",
    "client_seed",
)


@command(app, given=of(RunConfig, without=_CLIENTS), shown=of(OutputOptions))
def invert(
    given: Given,
    shown: Given,
    update: Received = None,
    before: Before = None,
    after: After = None,
    lengths: Annotated[
        str | None,
        typer.Option(help="Token counts with special tokens, as 12,9, if you know them."),
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(help="The true sentences, .txt or .jsonl, to score against.")
    ] = None,
    config: Config = None,
) -> int:
    """Attack an update written by capture, or by your own training: gradients or two checkpoints.

    The model, its weights and its activation are those that the file names, unless given.
    """
    run = given.over(config, RunConfig)
    output = Output(shown.made(OutputOptions))

    with output.busy(f"reading {update or after or before} …"):
        from textleak.audit import audit_update, setup

        from . import files, received
        from .recording import conduct

        found = files.read_files(update, before, after)
        run = files.begun_at(run, before)
        stored = received.with_stated(found.update, run, lengths)
        truth = received.read_truth(reference, stored.metadata)
        ignored = received.unused(run)
        run = received.completed(run, stored)
        chosen = setup.build_attack(run)
        loaded = setup.open_model(run)
        fitted = files.fitted_to(loaded, found, stored)
    for line in (*ignored, *fitted.notes):
        output.say(line)
    header = setup.run_header("invert", run, loaded, chosen, fitted)
    how: dict[str, Any] = dict(
        truth=truth, seed=run.seed, budget=run.budget, determined=run.determined
    )
    return conduct(
        output,
        run,
        header,
        setup.model_pieces(loaded),
        lambda watcher: audit_update(loaded, chosen, fitted.update, watcher=watcher, **how),
    )
