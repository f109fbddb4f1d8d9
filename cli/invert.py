"""`textleak invert`: attack an update that came from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import options as o
from .output import Output

app = typer.Typer(add_completion=False)


@app.command()
def invert(
    update: Annotated[
        Path | None,
        typer.Argument(help="Gradients or weights: .safetensors, .npz, .pt, .bin, a folder."),
    ] = None,
    before: Annotated[
        Path | None, typer.Option(help="With --after: the checkpoint that training began with.")
    ] = None,
    after: Annotated[
        Path | None, typer.Option(help="The checkpoint that training ended with, file or folder.")
    ] = None,
    model: o.Model = None,
    weights: o.Weights = None,
    weights_seed: o.WeightsSeed = None,
    activation: o.Activation = None,
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
    lengths: Annotated[
        str | None,
        typer.Option(help="Token counts with special tokens, as 12,9, if you know them."),
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(help="The true sentences, .txt or .jsonl, to score against.")
    ] = None,
    device: o.Device = None,
    threads: o.Threads = None,
    dropout: o.Dropout = None,
    defence: o.Defence = None,
    protocol: o.Protocol = None,
    attack: o.AttackName = None,
    labels: o.Labels = None,
    settings: o.Settings = None,
    config: o.Config = None,
    time_limit: o.TimeLimit = None,
    max_evaluations: o.MaxEvaluations = None,
    seed: o.Seed = None,
    determined: o.Determined = None,
    every: o.Every = None,
    quiet: o.Quiet = False,
    json: o.Json = None,
    save: o.Save = None,
    debug: o.Debug = False,
) -> int:
    """Attack an update written by capture, or by your own training: gradients or two checkpoints.

    The model, its weights and its activation are those that the file names, unless given.
    """
    given = dict(
        pair=pair, packed=packed, special_tokens=special_tokens, max_length=max_length,
        loss_reduction=loss_reduction, label_smoothing=label_smoothing, class_weights=class_weights,
        model=model, weights=weights, weights_seed=weights_seed, activation=activation, task=task,
        device=device, threads=threads, attack=attack, labels=labels, seed=seed, every=every,
        adapter=adapter, adapter_steps=adapter_steps, adapter_seed=adapter_seed,
        time_limit=time_limit, max_evaluations=max_evaluations,
        determined=determined,
    )  # fmt: skip
    training = dict(dropout=dropout, defences=defence, protocol=o.parse_protocol(protocol))
    run = o.resolve(config, {**given, **training}, settings)
    output = Output(json=json, save=save, quiet=quiet)

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
    shared = fitted.update
    for line in (*ignored, *fitted.notes):
        output.say(line)
    header = setup.run_header("invert", run, loaded, chosen, fitted)
    return conduct(
        output,
        run,
        header,
        setup.model_pieces(loaded),
        lambda watcher: audit_update(
            loaded,
            chosen,
            shared,
            truth=truth,
            seed=run.seed,
            budget=run.budget,
            determined=run.determined,
            watcher=watcher,
        ),
    )
