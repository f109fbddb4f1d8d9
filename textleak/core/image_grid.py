"""What a grid on images is made of: one validated object, as the YAML file says it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, Field, model_validator

from textleak.core.bounds import Classes, Pixels, Seed
from textleak.core.grid_config import SCHEMA, Axis, BaseGrid, named, titled
from textleak.core.image_config import Initial


class PictureSet(BaseModel):
    """One set of private pictures, from one place.

    Attributes:
        title: what the report calls it; the folder's, file's or dataset's name where it is not given.
        data: a folder of pictures (a subfolder a class), or a parquet file.
        dataset: a known name (mnist, cifar10 …) or a Hub id.
        split: the dataset's split.
        start: the first picture taken, counted from 0.
        count: how many are taken.
        size: height and width that they are scaled to.
        labels: their classes, one a picture; the data's own where not given.
    """

    model_config = SCHEMA

    title: str = ""
    data: Path | None = None
    dataset: str | None = None
    split: str | None = None
    start: int = Field(default=0, ge=0)
    count: int = Field(default=1, ge=1)
    size: Pixels | None = None
    labels: tuple[int, ...] | None = None

    @model_validator(mode="after")
    def _one_place(self) -> PictureSet:
        if (self.data is None) == (self.dataset is None):
            raise ValueError("expected one of data, dataset")
        if self.labels is not None and len(self.labels) != self.count:
            raise ValueError(f"expected {self.count} labels, one a picture, got {len(self.labels)}")
        return self

    @property
    def shown(self) -> str:
        """The title, or a name made of where the pictures come from."""
        place = self.data.stem if self.data is not None else (self.dataset or "").rsplit("/", 1)[-1]
        return self.title or place


class ImageModelEntry(BaseModel):
    """One classifier.

    Attributes:
        name: a network's name, a local folder or a Hub id.
        title: what the report calls it; its name and what is not the default where not given.
        classes: how many it tells apart; the data's own number where not given.
        init: how random weights are drawn.
        weights_seed: seeds them.
        activation: `keep`, or the smooth activation put in.
    """

    model_config = SCHEMA

    name: str
    title: str = ""
    classes: Classes | None = None
    init: Initial = "auto"
    weights_seed: Seed = 0
    activation: str = "keep"

    @property
    def shown(self) -> str:
        """The title, or the name with whatever is not the default."""
        name = self.name.rstrip("/").rsplit("/", 1)[-1]
        changed = self.model_dump(exclude_defaults=True, exclude={"name", "title"})
        return titled(name, self.title, changed)


class ImageAttackEntry(BaseModel):
    """One attack with its options.

    Attributes:
        name: the attack's name.
        title: what the report calls it; its name and options where not given.
        options: options of the attack.
    """

    model_config = SCHEMA

    name: str
    title: str = ""
    options: dict[str, Any] = {}

    @property
    def shown(self) -> str:
        """The title, or the name with its options."""
        return titled(self.name, self.title, self.options)


class ImageGridConfig(BaseGrid):
    """A grid on images.

    Attributes:
        images: sets of private pictures.
        models: classifiers.
        attacks: attacks.
        labels_known: the labels are granted to the attacker.
    """

    MODALITY: ClassVar[str] = "image"

    images: Axis[PictureSet]
    models: Axis[Annotated[ImageModelEntry, BeforeValidator(named)]] = (
        ImageModelEntry(name="lenet"),
    )
    attacks: Axis[Annotated[ImageAttackEntry, BeforeValidator(named)]] = (
        ImageAttackEntry(name="dlg"),
    )
    labels_known: bool = False
