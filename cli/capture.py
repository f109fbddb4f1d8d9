"""`textleak capture`: write the update that a client would share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from textleak.core.writing import check_writable
from textleak.report.terminal import say
from textleak.results.header import seeded_chance

from . import options as o
from .output import Output

if TYPE_CHECKING:
    from textleak.core.update import SharedUpdate

app = typer.Typer(add_completion=False)


@app.command()
def capture(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The update to write, .safetensors.")
    ],
    sentence: o.Sentence = None,
    file: o.File = None,
    classes: o.Classes = None,
    model: o.Model = None,
    weights: o.Weights = None,
    weights_seed: o.WeightsSeed = None,
    activation: o.Activation = None,
    num_labels: o.NumLabels = None,
    adapter: o.Adapter = None,
    adapter_steps: o.AdapterSteps = None,
    adapter_seed: o.AdapterSeed = None,
    task: o.Task = None,
    pair: o.Pair = None,
    packed: o.Packed = None,
    special_tokens: o.SpecialTokens = None,
    max_length: o.MaxLength = None,
    loss_reduction: o.LossReduction = None,
    label_smoothing: o.LabelSmoothing = None,
    class_weights: o.ClassWeights = None,
    device: o.Device = None,
    threads: o.Threads = None,
    dropout: o.Dropout = None,
    mask_rate: o.MaskRate = None,
    share: o.Share = None,
    defence: o.Defence = None,
    client_seed: o.OnlyClientSeed = None,
    labels: o.Labels = None,
    config: o.Config = None,
    debug: o.Debug = False,
) -> int:
    """Write the update of one training step on your sentences, all in one batch.

    The file holds the gradients and what the threat model grants, nothing else of the text.
    """
    given = dict(
        pair=pair, packed=packed, special_tokens=special_tokens, max_length=max_length,
        loss_reduction=loss_reduction, label_smoothing=label_smoothing, class_weights=class_weights,
        sentences=sentence, file=file, classes=classes, model=model, weights=weights,
        weights_seed=weights_seed, activation=activation, num_labels=num_labels, task=task,
        device=device, threads=threads, dropout=dropout, mask_rate=mask_rate, share=share,
        defences=defence, labels=labels, client_seed=client_seed, adapter=adapter, adapter_steps=adapter_steps,
        adapter_seed=adapter_seed,
    )  # fmt: skip
    run = o.resolve(config, given, None)

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
