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
from textleak.core.threat_model import ThreatModel
from textleak.core.update import ImageRecipe, SharedUpdate, UpdateMetadata
from textleak.core.validation import problem
from textleak.updates import Fitted, Stored
from textleak.vision.attacks import ImageAttack
from textleak.vision.audit import UNKNOWN
from textleak.vision.batch import ImageBatch
from textleak.vision.client import PrivateImages
from textleak.vision.data import ImageDataOptions, load_images
from textleak.vision.models import ImageModel, ImageModelOptions, load_image_model
from textleak.vision.models.loading import NETWORKS
from textleak.vision.setup import FEWEST_CLASSES, build_attack

from .files import Files, fitted_to
from .received import training

_KEYS = {"name": "model"}  # what a configuration calls an option of the model


@dataclass(frozen=True)
class Received:
    """Everything that an attack on a received update needs, checked and loaded.

    Attributes:
        config: the configuration, with what the update says.
        model: the public model.
        attack: the attack with its options.
        fitted: the update under the model's names, and what was done to have it.
        private: the true pictures; None where they are not known.
    """

    config: ImageRunConfig
    model: ImageModel
    attack: ImageAttack[Any]
    fitted: Fitted
    private: PrivateImages | None


def prepare(
    files: Files, config: ImageRunConfig, shape: str | None, reference: Path | None
) -> Received:
    """Load the model that the update names or the user, and check that they fit.

    Args:
        files: the update, or two checkpoints.
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
    stored = _stated(files.update, config)
    options = _classifier(stored, config, shape)
    torch.set_num_threads(threads_for(config.threads))
    model = load_image_model(options)
    found = fitted_to(model, files, stored)
    private = None if reference is None else _truth(reference, found.update, model, config)
    more = {"model": options.name, "batch_size": _count(found.update)}
    return Received(config.model_copy(update=more), model, attack, found, private)


def _stated(stored: Stored, config: ImageRunConfig) -> Stored:
    """What was read, the gaps in its facts filled with what the user states."""
    path, facts = stored.source, stored.metadata
    if facts.task not in (None, "image"):
        raise UpdateError(f"{path!r} was made with sentences: textleak invert {path}")
    if "batch_size" in config.model_fields_set and facts.batch_size not in (
        None,
        config.batch_size,
    ):
        raise UpdateError(
            f"{path!r} states {facts.batch_size} pictures, --batch-size {config.batch_size}"
        )
    stated = {"task": "image", "batch_size": facts.batch_size or config.batch_size}
    if facts == UpdateMetadata():
        stated["threat_model"] = ThreatModel(lengths=False)
    stated |= training(path, config, facts)
    try:
        return replace(stored, metadata=UpdateMetadata.model_validate({**dict(facts), **stated}))
    except ValidationError as error:
        raise UpdateError(problem(error, UpdateMetadata)[1]) from error


def _count(update: SharedUpdate) -> int:
    return update.metadata.batch_size or 1


def _classifier(stored: Stored, config: ImageRunConfig, shape: str | None) -> ImageModelOptions:
    """Which classifier: the user's where given, else the file's, whose folders are not opened."""
    recipe, given, path = stored.metadata.model, config.model_fields_set, stored.source
    if "model" not in given:
        if recipe is None:
            raise UpdateError(f"{path!r} does not say its model: give --model")
        if recipe.name not in NETWORKS:
            raise UpdateError(
                f"{path!r} was made with {recipe.name!r}, which is opened only where you name "
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
            f"{path!r} does not say the size of its pictures: give --shape, as 1,28,28"
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
