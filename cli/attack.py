"""`textleak attack`: client, update and attack in one go."""

from __future__ import annotations

import typer

from . import options as o
from .output import Output

app = typer.Typer(add_completion=False)


@app.command()
def attack(
    sentence: o.Sentence = None,
    file: o.File = None,
    batch_size: o.BatchSize = None,
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
    client_seed: o.ClientSeed = None,
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
    """Share the gradient of your sentences as a client would, and see it give them back."""
    given = dict(
        pair=pair, packed=packed, special_tokens=special_tokens, max_length=max_length,
        loss_reduction=loss_reduction, label_smoothing=label_smoothing, class_weights=class_weights,
        sentences=sentence, file=file, batch_size=batch_size, classes=classes, model=model,
        weights=weights, weights_seed=weights_seed, activation=activation, num_labels=num_labels,
        task=task, device=device, threads=threads, dropout=dropout, mask_rate=mask_rate,
        share=share, defences=defence, attack=attack, labels=labels, seed=seed, every=every,
        client_seed=client_seed, adapter=adapter, adapter_steps=adapter_steps,
        adapter_seed=adapter_seed,
        time_limit=time_limit, max_evaluations=max_evaluations,
        determined=determined,
    )  # fmt: skip
    run = o.resolve(config, given, settings)
    output = Output(json=json, save=save, quiet=quiet)

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
