"""How many numbers about its images a gradient can hold at most: whether there is enough to settle them.

Everything behind a place in a chain of layers sees the images through what passes that place alone. So
the gradient's derivative by the brightnesses has no more independent rows than there are numbers passing
and parameters before it, whatever the attack.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from textleak.core.update import SharedUpdate
from textleak.vision.models.image_model import ImageModel


def batch_size(update: SharedUpdate) -> int:
    """How many images the attack looks for: one where the threat model does not tell."""
    return update.metadata.batch_size or 1


def most_numbers(model: ImageModel, update: SharedUpdate) -> int:
    """An upper bound of the independent numbers that the gradient holds of its images, labels aside.

    Returns:
        The least, over the places between the layers of a chain, of the numbers of all images that
        pass there and the shared parameters before it; every brightness or every shared number is
        the bound of a model that is no `nn.Sequential`.
    """
    count = batch_size(update)
    shared = sum(_entries(gradient.shape, count) for gradient in update.gradients.values())
    bound = min(count * math.prod(model.shape), shared)
    if not isinstance(model.module, nn.Sequential):
        return bound
    passing = torch.zeros(1, *model.shape, device=model.device, dtype=model.dtype)
    before = 0
    for name, layer in model.module.named_children():
        with torch.no_grad():
            passing = layer(passing)
        before += sum(
            _entries(parameter.shape, count)
            for part, parameter in layer.named_parameters()
            if f"{name}.{part}" in update.gradients
        )
        bound = min(bound, count * passing.numel() + before)
    return bound


def _entries(shape: torch.Size, count: int) -> int:
    # A linear layer's gradient over `count` images is a sum of as many outer products.
    return min(shape.numel(), count * sum(shape)) if len(shape) == 2 else shape.numel()


def unsettled(model: ImageModel, update: SharedUpdate) -> tuple[str, ...]:
    """A warning where no attack can find the images without knowing how images look."""
    sought, held = batch_size(update) * math.prod(model.shape), most_numbers(model, update)
    if held >= sought:
        return ()
    return (
        f"the gradient holds at most {held:,} independent numbers for {sought:,} brightnesses: it does "
        "not settle the images (in `lenet` strides lose them; `lenet-unstrided` keeps them)",
    )
