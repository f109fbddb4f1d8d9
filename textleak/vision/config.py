"""One validated object that says everything about a run on images."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from textleak.core.bounds import Classes, Count, Pixels, Seed, Threads
from textleak.core.budget import Budget
from textleak.vision.data import ImageDataOptions, LoadedImages
from textleak.vision.models import ImageModelOptions

FEWEST_CLASSES = 10  # of a model for pictures that have no classes, or one only


class ImageRunConfig(BaseModel):
    """What is attacked, how, and what the attacker is granted.

    Attributes:
        image: a picture file; or
        data: a folder or parquet file; or
        dataset: a data set's name.
        split: of the data set.
        index: the first picture.
        batch_size: how many.
        size: what they are scaled to.
        labels: their classes; the data's own, or drawn by the client, where not given.
        model: the classifier's name.
        classes: how many it tells apart; the data's own number where not given.
        init: how random weights are drawn.
        weights_seed: seeds them.
        activation: `keep`, or the smooth activation to put in.
        device: where it all runs.
        threads: threads for torch.
        defences: what the client does to its gradients, as `name:key=value`.
        share: shell patterns of the parameters whose gradients are shared.
        labels_known: the labels are granted to the attacker.
        attack: the attack's name.
        options: its options.
        time_limit: seconds that the attack may take; then its best so far counts.
        max_evaluations: candidate gradients that it may evaluate, likewise.
        seed: seeds the attack.
        client_seed: seeds the classes drawn and the defences; the operating system's where not given.
            Noise from a known seed protects nothing.
        every: iterations between plain lines.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    image: Path | None = None
    data: Path | None = None
    dataset: str | None = None
    split: str | None = None
    index: int = Field(default=0, ge=0)
    batch_size: int = Field(default=1, ge=1)
    size: Pixels | None = None
    labels: tuple[int, ...] | None = None
    model: str = "lenet"
    classes: Classes | None = None
    init: Literal["auto", "uniform", "default"] = "auto"
    weights_seed: Seed = 0
    activation: str = "keep"
    device: str = "cpu"
    threads: Threads | None = None
    defences: tuple[str, ...] = ()
    share: tuple[str, ...] = ("*",)
    labels_known: bool = False
    attack: str = "dlg"
    options: dict[str, Any] = {}
    time_limit: float | None = Field(default=None, gt=0)
    max_evaluations: Count | None = None
    seed: Seed = 0
    client_seed: Seed | None = None
    every: int = Field(default=10, ge=1)

    @property
    def budget(self) -> Budget:
        """What the attack may spend."""
        return Budget(self.time_limit, self.max_evaluations)

    @property
    def images(self) -> ImageDataOptions:
        """Which pictures."""
        own = set(ImageDataOptions.model_fields)
        return ImageDataOptions(**{key: getattr(self, key) for key in own})

    def classifier(self, images: LoadedImages, device: str) -> ImageModelOptions:
        """Which classifier, for these pictures."""
        return ImageModelOptions(
            name=self.model,
            weights_seed=self.weights_seed,
            init=self.init,
            activation=self.activation,
            shape=(images.pixels.shape[1], images.pixels.shape[2], images.pixels.shape[3]),
            classes=self.classes or max(images.classes or 0, FEWEST_CLASSES),
            device=device,
        )
