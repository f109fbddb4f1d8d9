"""The options of `textleak vision`, each declared once; what both sides share is in `options`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from .options import ATTACK, CLIENT, MODEL, SHOW, _option

IMAGES = "Images"

Image: TypeAlias = Annotated[
    Path | None, _option("--image", help="A private picture file.", panel=IMAGES)
]
Data: TypeAlias = Annotated[
    Path | None,
    _option("--data", help="A folder (a subfolder a class) or a parquet file.", panel=IMAGES),
]
Dataset: TypeAlias = Annotated[
    str | None,
    _option("--dataset", help="mnist, cifar10, cifar100, svhn, lfw, or a Hub id.", panel=IMAGES),
]
Split: TypeAlias = Annotated[
    str | None, _option("--split", help="Of the dataset; default test.", panel=IMAGES)
]
Index: TypeAlias = Annotated[
    int | None, _option("--index", min=0, help="The first picture; default 0.", panel=IMAGES)
]
Pictures: TypeAlias = Annotated[
    int | None,
    _option("--batch-size", min=1, help="Pictures in the update; default 1.", panel=IMAGES),
]
Size: TypeAlias = Annotated[
    int | None,
    _option("--size", min=4, help="Cut to a square and scale to N×N pixels.", panel=IMAGES),
]
Label: TypeAlias = Annotated[
    list[int] | None,
    _option("--label", help="A picture's class; repeat. Else the data's, or drawn.", panel=IMAGES),
]
Network: TypeAlias = Annotated[
    str | None,
    _option(
        "--model",
        "-m",
        help="lenet, lenet4, lenet-unstrided, resnet20, resnet56, mlp, or a Hub id.",
        panel=MODEL,
    ),
]
StatedNetwork: TypeAlias = Annotated[
    str | None,
    _option("--model", "-m", help="See list image-models; default the file's.", panel=MODEL),
]
StatedInit: TypeAlias = Annotated[
    Literal["auto", "uniform", "default"] | None,
    _option("--init", help="Of random weights; default the file's.", panel=MODEL),
]
StatedPictures: TypeAlias = Annotated[
    int | None,
    _option("--batch-size", min=1, help="Pictures, if the file does not say.", panel=IMAGES),
]
Shape: TypeAlias = Annotated[
    str | None,
    _option("--shape", help="As 1,28,28, if the file does not say.", panel=IMAGES),
]
Reference: TypeAlias = Annotated[
    Path | None,
    _option(
        "--reference", help="The true pictures to score against: file or folder.", panel=IMAGES
    ),
]
NetworkClasses: TypeAlias = Annotated[
    int | None,
    _option("--classes", min=2, help="Classes told apart; default the data's.", panel=MODEL),
]
Init: TypeAlias = Annotated[
    Literal["auto", "uniform", "default"] | None,
    _option("--init", help="uniform(-0.5, 0.5) or torch's default.", panel=MODEL),
]
LabelsKnown: TypeAlias = Annotated[
    bool | None, _option("--labels-known", help="Grant the labels to the attacker.", panel=CLIENT)
]
ImageAttackName: TypeAlias = Annotated[
    str | None, _option("--attack", "-a", help="See textleak list image-attacks.", panel=ATTACK)
]
ImageConfig: TypeAlias = Annotated[
    Path | None,
    _option("--config", "-c", help="A YAML file with the same options.", panel=ATTACK),
]
SavePictures: TypeAlias = Annotated[
    Path | None,
    _option("--save", help="Keep pictures, figure and events in a new folder.", panel=SHOW),
]
