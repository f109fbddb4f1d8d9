"""`textleak attack`: client, update and attack in one go."""

from __future__ import annotations

import typer

from textleak.core.config import RunConfig

from .options import Config, Given, command, of
from .output import Output, OutputOptions

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@command(app, given=of(RunConfig, without=("protocol",)), shown=of(OutputOptions))
def attack(given: Given, shown: Given, config: Config = None) -> int:
    """Share the gradient of your sentences as a client would, and see it give them back."""
    run = given.over(config, RunConfig)
    output = Output(shown.made(OutputOptions))

    with output.busy(f"loading {run.model} …"):
        from textleak.audit import setup

        from .recording import conduct

        run = setup.settled(run)
        batches = setup.private_text(run)
        chosen = setup.build_attack(run)
        setup.build_defences(run)
        loaded = setup.open_model(run)
    header = setup.run_header("attack", run, loaded, chosen)
    return conduct(
        output,
        run,
        header,
        setup.model_pieces(loaded),
        lambda watcher: setup.run_audit(run, loaded, chosen, batches, watcher),
    )
