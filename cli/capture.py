"""`textleak capture`: write the update that a client would share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from textleak.core.config import RunConfig
from textleak.core.writing import check_writable
from textleak.report.terminal import say
from textleak.results.header import seeded_chance

from .options import Config, Given, command, of
from .output import Output, OutputOptions

if TYPE_CHECKING:
    from textleak.core.update import SharedUpdate

app = typer.Typer(add_completion=False, rich_markup_mode=None)
_ATTACKERS = (
    "batch_size",
    "protocol",
    "attack",
    "options",
    "time_limit",
    "max_evaluations",
    "seed",
    "determined",
    "every",
)


@command(
    app,
    given=of(RunConfig, without=_ATTACKERS, also={"client_seed": "--seed"}),
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
    """Write the update of one training step on your sentences, all in one batch.

    The file holds the gradients and what the threat model grants, nothing else of the text.
    """
    run = given.over(config, RunConfig)
    check_writable(output)

    with Output().busy(f"loading {run.model} …"):
        from textleak.audit import setup

        run = setup.settled(run)
        setup.build_defences(run)
        batches = setup.private_text(run.merged({"batch_size": None}))
        loaded = setup.open_model(run)
    client = setup.client_of(run, loaded)
    update = client.share(client.prepare(batches[0].sentences, batches[0].labels))
    write(output, update, loaded.task.name, run.client_seed)
    return 0


def write(output: Path, update: SharedUpdate, task: str, client_seed: int | None) -> None:
    """Write `update`, made for `task` by a client with this seed, and say what it holds and grants."""
    update.save(output)
    values = sum(gradient.numel() for gradient in update.gradients.values())
    size = sum(gradient.nbytes for gradient in update.gradients.values()) / 1e6
    say(f"{output}: {len(update.gradients)} gradients, {values:,} values, {size:.1f} MB")
    say(update.metadata.threat_model.describe(task))
    if update.metadata.privacy is not None:
        say(update.metadata.privacy.describe())
    if update.metadata.client_seeded:
        say(f"client: {seeded_chance(client_seed)}")
