"""A Hub image classifier by id, through transformers."""

from __future__ import annotations

from typing import Any

from transformers import AutoImageProcessor, AutoModelForImageClassification

from textleak.core.errors import ModelError
from textleak.core.update import ImageRecipe, ModelRecipe
from textleak.models.activations import swap_activations
from textleak.models.fetching import fetched
from textleak.models.loading import first_line, local_only, quiet
from textleak.models.text_model import fingerprint
from textleak.vision.models.image_model import ImageModel


def load_hub_classifier(name: str, activation: str = "keep") -> ImageModel:
    """Load `AutoModelForImageClassification` with its normalisation and input size.

    Args:
        name: a Hub id or a local folder.
        activation: `keep`, or the smooth activation to put in place of the model's own.

    Raises:
        ModelError: it cannot be fetched, or does not say what images it takes.
    """
    processors: Any = AutoImageProcessor
    classifiers: Any = AutoModelForImageClassification
    try:
        with quiet():
            local = local_only(name)
            processor = fetched(processors, name, local=local)
            module = fetched(classifiers, name, local=local, attn_implementation="eager")
    except (OSError, ValueError, ImportError, KeyError) as error:
        line = first_line(error)
        raise ModelError(f"cannot load the image classifier {name!r}: {line}") from error
    channels = int(getattr(module.config, "num_channels", 3))
    height, width = _size(name, processor, module.config)
    swapped = swap_activations(module, activation)
    notes = [f"{swapped} activations replaced by {activation}"] if swapped else []
    classes = int(module.config.num_labels)
    recipe = ModelRecipe(
        name=name,
        activation=activation,
        fingerprint=fingerprint(module),
        image=ImageRecipe(shape=(channels, height, width), classes=classes, init="pretrained"),
    )
    normalised = bool(getattr(processor, "do_normalize", False))
    mean = tuple(processor.image_mean) if normalised else (0.0,)
    spread = tuple(processor.image_std) if normalised else (1.0,)
    shape = (channels, height, width)
    return ImageModel(module.eval(), shape, classes, recipe, mean, spread, tuple(notes))


def _size(name: str, processor: Any, config: Any) -> tuple[int, int]:
    """Height and width that the processor crops or scales to, or the configuration's image size."""
    crop = (
        getattr(processor, "crop_size", None) if getattr(processor, "do_center_crop", 0) else None
    )
    for size in (crop, getattr(processor, "size", None)):
        if size is not None and size.get("height"):
            return int(size["height"]), int(size["width"])
        if size is not None and size.get("shortest_edge"):
            return int(size["shortest_edge"]), int(size["shortest_edge"])
    stated = getattr(config, "image_size", None)
    if isinstance(stated, int):
        return stated, stated
    raise ModelError(f"the image classifier {name!r} does not say what size of images it takes")
