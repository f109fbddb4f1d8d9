"""From a configuration to the things that it names: pictures, model, attack, updates.

The commands and the grid both build their runs here, so that a run means the same in either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from textleak.attacks.building import built
from textleak.audit.header import assumed
from textleak.audit.setup import checked_device
from textleak.core.cores import threads_for
from textleak.core.errors import DataError
from textleak.core.image_config import ImageRunConfig
from textleak.defences import Defences
from textleak.results.header import RunHeader
from textleak.updates import Fitted
from textleak.vision.attacks import IMAGE_ATTACKS, ImageAttack
from textleak.vision.audit import Exchange
from textleak.vision.client import ImageClient, PrivateImages
from textleak.vision.data import ImageDataOptions, LoadedImages, load_images
from textleak.vision.models import ImageModel, ImageModelOptions, load_image_model

FEWEST_CLASSES = 10  # of a model for pictures that have no classes, or one only


@dataclass(frozen=True)
class Sharing:
    """Pictures as they were loaded, the model that is trained on them, and a client an update.

    Attributes:
        model: the public model.
        clients: one an update, with the pictures that it trains on.
        notes: what was done to the pictures.
    """

    model: ImageModel
    clients: list[tuple[ImageClient, PrivateImages]]
    notes: tuple[str, ...]

    @property
    def exchanges(self) -> list[Exchange]:
        """What makes each update, and the truth behind it."""
        return [(partial(client.share, private), private) for client, private in self.clients]


def sharing(config: ImageRunConfig) -> Sharing:
    """Load the pictures and the model of `config`, and give each update's pictures to a client.

    Raises:
        ConfigError: an option that is not valid.
        DataError: pictures that cannot be used.
        ModelError: a model that cannot be loaded.
    """
    defences = Defences.parse(config.stated)
    torch.set_num_threads(threads_for(config.threads))
    images = load_images(_data(config))
    model = load_image_model(classifier(config, images))
    clients = []
    for i, (pixels, labels) in enumerate(_batches(config, images)):
        seed = None if config.client_seed is None else config.client_seed + i
        client = ImageClient(model, config.threat_model, seed=seed, defences=defences)
        clients.append((client, client.prepare(pixels, labels)))
    return Sharing(model, clients, images.notes)


def build_attack(config: ImageRunConfig) -> ImageAttack[Any]:
    """The attack of `config` with its options.

    Raises:
        ConfigError: no such attack, an unknown option, or a value that is not valid.
    """
    attack: ImageAttack[Any] = built(IMAGE_ATTACKS, config.attack, config.options)
    return attack


def run_header(
    command: str,
    config: ImageRunConfig,
    model: ImageModel,
    attack: ImageAttack[Any],
    *,
    notes: Sequence[str] = (),
    received: Fitted | None = None,
) -> RunHeader:
    """What a run of `attack` assumes.

    Args:
        command: the command that runs it.
        config: the run's configuration.
        model: the public model.
        attack: the attack with its options.
        notes: what was done to the pictures.
        received: an update from elsewhere; the client of `config` makes its own where None.
    """
    recipe = model.recipe
    return RunHeader(
        **assumed(command, config, attack, received),
        model=config.model,
        weights=recipe.weights if recipe else "given",
        weights_seed=recipe.weights_seed if recipe else config.weights_seed,
        activation=recipe.activation if recipe else config.activation,
        task="image",
        model_notes=(*model.notes, *notes),
    )


def _data(config: ImageRunConfig) -> ImageDataOptions:
    """Which pictures, those of all updates together."""
    own = set(ImageDataOptions.model_fields) - {"batch_size"}
    chosen = {key: getattr(config, key) for key in own}
    return ImageDataOptions(**chosen, batch_size=config.count or config.batch_size)


def classifier(config: ImageRunConfig, images: LoadedImages) -> ImageModelOptions:
    """Which classifier, for these pictures."""
    channels, height, width = images.pixels.shape[1:]
    return ImageModelOptions(
        name=config.model,
        weights_seed=config.weights_seed,
        init=config.init,
        activation=config.activation,
        shape=(channels, height, width),
        classes=config.classes or max(images.classes or 0, FEWEST_CLASSES),
        device=checked_device(config.device),
    )


def _batches(config: ImageRunConfig, images: LoadedImages) -> list[tuple[Tensor, list[int | None]]]:
    """The pictures of each update with their classes."""
    labels: list[int | None] = list(images.labels if config.labels is None else config.labels)
    if len(labels) != len(images.pixels):
        raise DataError(f"expected {len(images.pixels)} labels, one an image, got {len(labels)}")
    size = config.batch_size
    starts = range(0, len(labels), size)
    return [(images.pixels[at : at + size], labels[at : at + size]) for at in starts]
