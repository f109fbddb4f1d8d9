"""One loader: the paper's networks by name, or a Hub image classifier by id."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict
from torch import nn

from textleak.core.bounds import Seed
from textleak.core.errors import ModelError, unknown
from textleak.core.paths import is_folder
from textleak.core.randomness import weights_drawn
from textleak.core.update import ImageRecipe, ModelRecipe
from textleak.models.activations import SMOOTH, check_activation, swap_activations
from textleak.models.text_model import fingerprint
from textleak.vision.models.hub import load_hub_classifier
from textleak.vision.models.image_model import ImageModel
from textleak.vision.models.networks import calibrate_norms, draw_uniform, lenet, mlp, resnet

NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "lenet": lenet,
    "lenet4": partial(lenet, convolutions=4),
    "lenet-unstrided": partial(lenet, strides=()),
    "resnet20": partial(resnet, depth=20),
    "resnet56": partial(resnet, depth=56),
    "mlp": mlp,
}


class ImageModelOptions(BaseModel):
    """Which classifier, with which weights.

    Attributes:
        name: one of the paper's networks, a local folder or a Hub id.
        weights_seed: seeds random weights.
        init: uniform(-0.5, 0.5), as in the authors' code, or torch's default; "auto" is uniform
            for the paper's networks (LeNet, ResNet), default for the rest.
        activation: `keep`, or the smooth activation to put in.
        shape: channels, height, width of the images; None takes a Hub classifier's own.
        classes: how many the network tells apart.
        device: where the model is put.
        dtype: the weights' type.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = "lenet"
    weights_seed: Seed = 0
    init: Literal["auto", "uniform", "default"] = "auto"
    activation: str = "keep"
    shape: tuple[int, int, int] | None = None
    classes: int = 10
    device: str = "cpu"
    dtype: Literal["float32", "float64"] = "float32"


def load_image_model(options: ImageModelOptions) -> ImageModel:
    """Load the public classifier in evaluation mode.

    Raises:
        ModelError: no such name, no weights to be had, or an image shape is missing.
        ConfigError: an unknown activation.
    """
    check_activation(options.activation)
    if options.name in NETWORKS:
        model = _network(options)
    elif "/" in options.name or is_folder(options.name):
        model = load_hub_classifier(options.name, options.activation)
    else:
        raise ModelError(
            unknown("image model", options.name, NETWORKS) + ", or a Hub id with its owner"
        )
    model.module.to(device=options.device, dtype=getattr(torch, options.dtype))
    return model


def _network(options: ImageModelOptions) -> ImageModel:
    if options.shape is None:
        raise ModelError(f"the network {options.name!r} needs the shape of its images")
    uniform = options.init == "uniform" or (
        options.init == "auto" and options.name.startswith(("lenet", "resnet"))
    )
    with weights_drawn(options.weights_seed):
        module = NETWORKS[options.name](options.shape, options.classes, nn.Sigmoid).eval()
        if uniform:
            draw_uniform(module)
    if options.activation in SMOOTH and options.activation != "sigmoid":
        swap_activations(module, options.activation)
    seeded = torch.Generator().manual_seed(options.weights_seed)
    calibrate_norms(module, options.shape, seeded)
    init = "uniform" if uniform else "default"
    recipe = ModelRecipe(
        name=options.name,
        weights="random",
        weights_seed=options.weights_seed,
        activation="sigmoid" if options.activation == "keep" else options.activation,
        fingerprint=fingerprint(module),
        image=ImageRecipe(shape=options.shape, classes=options.classes, init=init),
    )
    drawn = "uniform(-0.5, 0.5)" if uniform else "torch's default initialisation"
    notes = (f"random weights, {drawn}, seed {options.weights_seed}",)
    return ImageModel(module, options.shape, options.classes, recipe, notes=notes)
