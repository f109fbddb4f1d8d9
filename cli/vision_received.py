"""An update of an image model as it was received: completed, its model loaded, its truth read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from textleak.audit.setup import checked_device
from textleak.core.cores import threads_for
from textleak.core.errors import ConfigError, DataError, UpdateError
from textleak.core.image_config import ImageRunConfig
from textleak.core.update import ImageRecipe, SharedUpdate, UpdateMetadata
from textleak.core.validation import problem
from textleak.vision.attacks import ImageAttack
from textleak.vision.audit import UNKNOWN
from textleak.vision.batch import ImageBatch
from textleak.vision.client import PrivateImages
from textleak.vision.data import ImageDataOptions, load_images
from textleak.vision.models import ImageModel, ImageModelOptions, load_image_model
from textleak.vision.models.loading import NETWORKS
from textleak.vision.setup import FEWEST_CLASSES, build_attack

from .received import check_same_model, with_shared

_KEYS = {"name": "model"}  # what a configuration calls an option of the model


@dataclass(frozen=True)
class Received:
    """Everything that an attack on a received update needs, checked and loaded.

    Attributes:
        config: the configuration, with what the update says.
        model: the public model.
        attack: the attack with its options.
        update: the update.
        private: the true pictures; None where they are not known.
    """

    config: ImageRunConfig
    model: ImageModel
    attack: ImageAttack[Any]
    update: SharedUpdate
    private: PrivateImages | None


def prepare(
    path: Path, config: ImageRunConfig, shape: str | None, reference: Path | None
) -> Received:
    """Read the update, load the model that it names or the user, and check that they fit.

    Args:
        path: the update.
        config: what the command line and its YAML set.
        shape: channels, height and width of the pictures, as `1,28,28`, where the file has none.
        reference: the true pictures to score against.

    Raises:
        UpdateError: the file cannot be used, or contradicts what is stated.
        ConfigError: an option that is not valid.
        ModelError: the model cannot be loaded, or is not the one that the update was made with.
        DataError: true pictures that do not fit.
    """
    attack = build_attack(config)
    update = _read(path, config)
    options = _classifier(path, update, config, shape)
    torch.set_num_threads(threads_for(config.threads))
    model = load_image_model(options)
    check_same_model(update, model)
    update = with_shared(update, model)
    private = None if reference is None else _truth(reference, update, model, config)
    config = config.model_copy(update={"model": options.name, "batch_size": _count(update)})
    return Received(config, model, attack, update, private)


def _read(path: Path, config: ImageRunConfig) -> SharedUpdate:
    update = SharedUpdate.load(path)
    facts = update.metadata
    if facts.task not in (None, "image"):
        raise UpdateError(f"{str(path)!r} was made with sentences: textleak invert {path}")
    if "batch_size" in config.model_fields_set and facts.batch_size not in (
        None,
        config.batch_size,
    ):
        raise UpdateError(
            f"{str(path)!r} states {facts.batch_size} pictures, --batch-size {config.batch_size}"
        )
    stated = {"task": "image", "batch_size": facts.batch_size or config.batch_size}
    try:
        return replace(update, metadata=UpdateMetadata.model_validate({**dict(facts), **stated}))
    except ValidationError as error:
        raise UpdateError(problem(error, UpdateMetadata)[1]) from error


def _count(update: SharedUpdate) -> int:
    return update.metadata.batch_size or 1


def _classifier(
    path: Path, update: SharedUpdate, config: ImageRunConfig, shape: str | None
) -> ImageModelOptions:
    """Which classifier: the user's where given, else the file's, whose folders are not opened."""
    recipe, given = update.metadata.model, config.model_fields_set
    if "model" not in given:
        if recipe is None:
            raise UpdateError(f"{str(path)!r} does not say its model: give --model")
        if recipe.name not in NETWORKS:
            raise UpdateError(
                f"{str(path)!r} was made with {recipe.name!r}, which is opened only where you name "
                f"it: give --model"
            )
    built = recipe.image if recipe is not None else None
    told: dict[str, Any] = {}
    if recipe is not None:
        told |= dict(
            name=recipe.name, weights_seed=recipe.weights_seed, activation=recipe.activation
        )
    if built is not None:
        told |= dict(shape=built.shape, classes=built.classes)
        told |= {"init": built.init} if built.init in ("uniform", "default") else {}
    stated = {"name": config.model, "weights_seed": config.weights_seed, "init": config.init}
    stated |= {"activation": config.activation, "classes": config.classes or FEWEST_CLASSES}
    own = {key: value for key, value in stated.items() if _KEYS.get(key, key) in given}
    chosen = {**stated, **told, **own, "device": checked_device(config.device)}
    if shape is not None:
        chosen["shape"] = _shape(shape)
    if "shape" not in chosen and chosen["name"] in NETWORKS:
        raise UpdateError(
            f"{str(path)!r} does not say the size of its pictures: give --shape, as 1,28,28"
        )
    return ImageModelOptions(**chosen)


def _shape(text: str) -> tuple[int, int, int]:
    parts = text.split(",")
    if len(parts) != 3 or not all(part.strip().isdecimal() for part in parts):
        what = "channels, height and width as 1,28,28"
        raise ConfigError(f"--shape expects {what}, got {text[:80]!r}")
    shape = tuple(int(part) for part in parts)
    try:
        return ImageRecipe(shape=shape, classes=FEWEST_CLASSES).shape
    except ValidationError as error:
        raise ConfigError(f"--shape: {problem(error, ImageRecipe)[1]}") from error


def _truth(
    reference: Path, update: SharedUpdate, model: ImageModel, config: ImageRunConfig
) -> PrivateImages:
    """The true pictures; a class that is not known is left so."""
    place = {"data": reference} if not _is_picture(reference) else {"image": reference}
    size = model.shape[1] if model.shape[1] == model.shape[2] else None
    count = _count(update)
    images = load_images(ImageDataOptions(**place, index=config.index, batch_size=count, size=size))
    if tuple(images.pixels.shape) != (count, *model.shape):
        raise DataError(
            f"{str(reference)!r} gives pictures of shape {tuple(images.pixels.shape)}, the update "
            f"is of {(count, *model.shape)}"
        )
    known = list(config.labels) if config.labels is not None else images.labels
    if len(known) != count:
        raise DataError(f"expected {count} labels, one a picture, got {len(known)}")
    classes = torch.tensor([UNKNOWN if label is None else label for label in known])
    pixels = images.pixels.to(model.device, model.dtype)
    return PrivateImages(ImageBatch(pixels, classes.to(model.device)))


def _is_picture(path: Path) -> bool:
    return not path.is_dir() and path.suffix != ".parquet"
