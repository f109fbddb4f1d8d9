"""`textleak vision`: the image half of the paper."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from textleak.core.writing import check_writable

from . import options as o
from . import vision_options as v
from .output import Output

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.callback()
def vision() -> None:
    """Measure how much private images leak from shared gradients."""


@app.command()
def attack(
    image: v.Image = None,
    data: v.Data = None,
    dataset: v.Dataset = None,
    split: v.Split = None,
    index: v.Index = None,
    batch_size: v.Pictures = None,
    size: v.Size = None,
    label: v.Label = None,
    model: v.Network = None,
    classes: v.NetworkClasses = None,
    init: v.Init = None,
    weights_seed: o.WeightsSeed = None,
    activation: o.Activation = None,
    device: o.Device = None,
    threads: o.Threads = None,
    defence: o.Defence = None,
    client_seed: o.ClientSeed = None,
    share: o.Share = None,
    labels_known: v.LabelsKnown = None,
    attack: v.ImageAttackName = None,
    settings: o.Settings = None,
    config: v.ImageConfig = None,
    time_limit: o.TimeLimit = None,
    max_evaluations: o.MaxEvaluations = None,
    seed: o.Seed = None,
    every: o.Every = None,
    quiet: o.Quiet = False,
    json: o.Json = None,
    save: v.SavePictures = None,
    debug: o.Debug = False,
) -> int:
    """Share the gradient of your pictures as a client would, and see it give them back."""
    given: dict[str, Any] = dict(
        image=image, data=data, dataset=dataset, split=split, index=index, batch_size=batch_size,
        size=size, labels=label or None, model=model, classes=classes, init=init,
        weights_seed=weights_seed, activation=activation, device=device, threads=threads,
        defences=defence or None, share=share or None, labels_known=labels_known, attack=attack,
        seed=seed, every=every,
        client_seed=client_seed, time_limit=time_limit, max_evaluations=max_evaluations,
    )  # fmt: skip
    output = Output(json=json, quiet=quiet)
    with output.busy("loading …"):
        from .vision_run import conduct, prepare, resolve

        run = prepare(resolve(config, given, settings))
    return conduct(output, run, save)


@app.command()
def capture(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The update to write, .safetensors.")
    ],
    image: v.Image = None,
    data: v.Data = None,
    dataset: v.Dataset = None,
    split: v.Split = None,
    index: v.Index = None,
    batch_size: v.Pictures = None,
    size: v.Size = None,
    label: v.Label = None,
    model: v.Network = None,
    classes: v.NetworkClasses = None,
    init: v.Init = None,
    weights_seed: o.WeightsSeed = None,
    activation: o.Activation = None,
    device: o.Device = None,
    threads: o.Threads = None,
    defence: o.Defence = None,
    client_seed: o.OnlyClientSeed = None,
    share: o.Share = None,
    labels_known: v.LabelsKnown = None,
    config: v.ImageConfig = None,
    debug: o.Debug = False,
) -> int:
    """Write the update of one training step on your pictures, and what the attacker is granted."""
    given: dict[str, Any] = dict(
        image=image, data=data, dataset=dataset, split=split, index=index, batch_size=batch_size,
        size=size, labels=label or None, model=model, classes=classes, init=init,
        weights_seed=weights_seed, activation=activation, device=device, threads=threads,
        defences=defence or None, share=share or None, labels_known=labels_known,
        client_seed=client_seed,
    )  # fmt: skip
    check_writable(output)
    with Output().busy("loading …"):
        from . import vision_run
        from .capture import write

        run = vision_run.resolve(config, given, None)
        shared = vision_run.share(run)
    write(output, shared.update, "image", run.client_seed)
    return 0


@app.command()
def invert(
    update: Annotated[Path, typer.Argument(help="A .safetensors file of named gradients.")],
    reference: v.Reference = None,
    index: v.Index = None,
    label: v.Label = None,
    batch_size: v.StatedPictures = None,
    shape: v.Shape = None,
    model: v.StatedNetwork = None,
    classes: v.NetworkClasses = None,
    init: v.StatedInit = None,
    weights_seed: o.WeightsSeed = None,
    activation: o.Activation = None,
    device: o.Device = None,
    threads: o.Threads = None,
    attack: v.ImageAttackName = None,
    settings: o.Settings = None,
    config: v.ImageConfig = None,
    time_limit: o.TimeLimit = None,
    max_evaluations: o.MaxEvaluations = None,
    seed: o.Seed = None,
    every: o.Every = None,
    quiet: o.Quiet = False,
    json: o.Json = None,
    save: v.SavePictures = None,
    debug: o.Debug = False,
) -> int:
    """Attack an update that vision attack saved, or your own training as named gradients.

    The network, its weights and its activation are those that the file names, unless given.
    """
    given: dict[str, Any] = dict(
        index=index, labels=label or None, batch_size=batch_size, model=model, classes=classes,
        init=init, weights_seed=weights_seed, activation=activation, device=device,
        threads=threads, attack=attack, seed=seed,
        every=every, time_limit=time_limit, max_evaluations=max_evaluations,
    )  # fmt: skip
    output = Output(json=json, quiet=quiet)
    with output.busy(f"reading {update} …"):
        from .vision_received import prepare
        from .vision_run import conduct, resolve

        run = prepare(update, resolve(config, given, settings), shape, reference)
    return conduct(output, run, save)
