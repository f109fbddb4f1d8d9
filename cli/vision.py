"""`textleak vision`: the image half of the paper."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from . import options as o
from .options import ATTACK, CLIENT, MODEL, SHOW, _option
from .output import Output

app = typer.Typer(add_completion=False, rich_markup_mode=None)
IMAGES = "Images"


@app.callback()
def vision() -> None:
    """Measure how much private images leak from shared gradients."""


@app.command()
def attack(
    image: Annotated[
        Path | None, _option("--image", help="A private picture file.", panel=IMAGES)
    ] = None,
    data: Annotated[
        Path | None,
        _option("--data", help="A folder (a subfolder a class) or a parquet file.", panel=IMAGES),
    ] = None,
    dataset: Annotated[
        str | None,
        _option(
            "--dataset", help="mnist, cifar10, cifar100, svhn, lfw, or a Hub id.", panel=IMAGES
        ),
    ] = None,
    split: Annotated[
        str | None, _option("--split", help="Of the dataset; default test.", panel=IMAGES)
    ] = None,
    index: Annotated[
        int, _option("--index", min=0, help="The first picture; default 0.", panel=IMAGES)
    ] = 0,
    batch_size: Annotated[
        int, _option("--batch-size", min=1, help="Pictures in the update; default 1.", panel=IMAGES)
    ] = 1,
    size: Annotated[
        int | None,
        _option("--size", min=4, help="Cut to a square and scale to N×N pixels.", panel=IMAGES),
    ] = None,
    label: Annotated[
        list[int] | None,
        _option(
            "--label", help="A picture's class; repeat. Else the data's, or drawn.", panel=IMAGES
        ),
    ] = None,
    model: Annotated[
        str,
        _option(
            "--model",
            "-m",
            help="lenet, lenet4, resnet20, resnet56, mlp, or a Hub id.",
            panel=MODEL,
        ),
    ] = "lenet",
    classes: Annotated[
        int | None,
        _option("--classes", min=2, help="Classes told apart; default the data's.", panel=MODEL),
    ] = None,
    init: Annotated[
        Literal["auto", "uniform", "default"],
        _option("--init", help="uniform(-0.5, 0.5) or torch's default.", panel=MODEL),
    ] = "auto",
    weights_seed: o.WeightsSeed = None,
    activation: o.Activation = None,
    device: o.Device = None,
    threads: o.Threads = None,
    defence: o.Defence = None,
    share: o.Share = None,
    labels_known: Annotated[
        bool, _option("--labels-known", help="Grant the labels to the attacker.", panel=CLIENT)
    ] = False,
    attack: Annotated[
        str, _option("--attack", "-a", help="dlg, idlg, inverting, analytic.", panel=ATTACK)
    ] = "dlg",
    settings: o.Settings = None,
    seed: o.Seed = None,
    every: o.Every = None,
    quiet: o.Quiet = False,
    json: o.Json = None,
    save: Annotated[
        Path | None,
        _option("--save", help="Keep pictures, figure and events in a new folder.", panel=SHOW),
    ] = None,
    debug: o.Debug = False,
) -> int:
    """Share the gradient of your pictures as a client would, and see it give them back."""
    given: dict[str, Any] = dict(
        image=image, data=data, dataset=dataset, split=split, index=index, batch_size=batch_size,
        size=size, labels=label or None, model=model, classes=classes, init=init,
        weights_seed=weights_seed, activation=activation, device=device, threads=threads,
        defences=defence or None, share=share or None, labels_known=labels_known, attack=attack,
        options=o.parse_settings(settings or []), seed=seed, every=every,
    )  # fmt: skip
    output = Output(json=json, quiet=quiet)
    with output.busy("loading …"):
        from .vision_run import conduct, prepare

        run = prepare({key: value for key, value in given.items() if value is not None})
    return conduct(output, run, save)
