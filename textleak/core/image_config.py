"""One validated object that says everything about a run on images; naming it loads no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from textleak.core.bounds import Classes, Count, Pixels
from textleak.core.option import ATTACK, CLIENT, IMAGES, MODEL, Option
from textleak.core.run_options import RunOptions
from textleak.core.threat_model import ThreatModel

Initial = Literal["auto", "uniform", "default"]


class ImageRunConfig(RunOptions):
    """What is attacked, how, and what the attacker is granted. Each field's `Option` says what it is.

    Exactly one of `image`, `data` and `dataset` is given.
    """

    MODALITY: ClassVar[str] = "image"
    dropout: ClassVar[bool] = False
    SOURCES: ClassVar[tuple[str, ...]] = ("image", "data", "dataset", "split")
    WITH_SOURCE: ClassVar[tuple[str, ...]] = ("labels",)

    image: Annotated[Path | None, Option("A private picture file.", IMAGES)] = None
    data: Annotated[
        Path | None, Option("A folder (a subfolder a class) or a parquet file.", IMAGES)
    ] = None
    dataset: Annotated[
        str | None, Option("mnist, cifar10, cifar100, svhn, lfw, or a Hub id.", IMAGES)
    ] = None
    split: Annotated[str | None, Option("Of the dataset; default test.", IMAGES)] = None
    index: Annotated[int, Field(ge=0), Option("The first picture; default 0.", IMAGES)] = 0
    batch_size: Annotated[int, Field(ge=1), Option("Pictures an update; default 1.", IMAGES)] = 1
    count: Annotated[
        Count | None, Option("Pictures in all; default those of one update.", IMAGES)
    ] = None
    size: Annotated[Pixels | None, Option("Cut to a square and scale to N×N pixels.", IMAGES)] = (
        None
    )
    labels: Annotated[
        tuple[int, ...] | None,
        Option("A picture's class; repeat. Else the data's, or drawn.", IMAGES, ("--label",)),
    ] = None
    model: Annotated[
        str, Option("A network (textleak list image-models), or a Hub id.", MODEL, ("-m",))
    ] = "lenet"
    classes: Annotated[Classes | None, Option("Classes told apart; default the data's.", MODEL)] = (
        None
    )
    init: Annotated[
        Initial, Option("Of random weights: uniform(-0.5, 0.5) or torch's default.", MODEL)
    ] = "auto"
    labels_known: Annotated[bool, Option("Grant the labels to the attacker.", CLIENT)] = False
    attack: Annotated[str, Option("See textleak list image-attacks.", ATTACK, ("-a",))] = "dlg"

    @property
    def threat_model(self) -> ThreatModel:
        """What the attacker is granted by this configuration, before its defences."""
        return ThreatModel(lengths=False, labels=self.labels_known, shared=self.share)
