"""The input of a first fully connected layer, read off its gradient (Aono et al. 2017, section 3).

With output gradient d, the layer's bias has the gradient d and its weight d xᵀ: any row of the
weight's gradient divided by its bias entry is the input x. No search is needed.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import BaseModel, ConfigDict
from torch import nn

from textleak.core.errors import ConfigError, ModelError, UpdateError
from textleak.core.update import SharedUpdate
from textleak.vision.attacks.base import ImageAttack, ImageSession
from textleak.vision.attacks.counting import batch_size
from textleak.vision.attacks.labels import known_labels, read_off_labels
from textleak.vision.batch import ImageBatch
from textleak.vision.models.image_model import ImageModel
from textleak.vision.reconstruction import ImageCandidate


class AnalyticOptions(BaseModel):
    """Nothing to choose."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Analytic(ImageAttack[AnalyticOptions]):
    """Divides the first linear layer's weight gradient by its bias gradient."""

    name: ClassVar[str] = "analytic"
    options_class: ClassVar[type[BaseModel]] = AnalyticOptions

    def run(self, model: ImageModel, update: SharedUpdate, session: ImageSession) -> ImageCandidate:
        """Recover one image in closed form.

        Raises:
            ConfigError: the batch holds more than one image, which every row mixes.
            ModelError: the model's first layer is not a linear one over the whole image.
            UpdateError: that layer's gradient was not shared.
        """
        if batch_size(update) != 1:
            raise ConfigError(
                f"analytic recovery needs one image, got a batch of {batch_size(update)}, "
                "which every row of the gradient mixes; use dlg"
            )
        name = first_linear(model)
        weight = update.gradients.get(f"{name}.weight")
        bias = update.gradients.get(f"{name}.bias")
        if weight is None or bias is None:
            raise UpdateError(
                f"the update does not hold the gradients of {name!r}'s weight and bias"
            )
        # Least squares over all rows, x = Wᵀb / bᵀb: exact without noise, and averages it out.
        slopes, rows = bias.double(), weight.double()
        seen = (slopes @ rows) / slopes.square().sum()
        mean = torch.tensor(model.mean, dtype=seen.dtype, device=seen.device)[:, None, None]
        spread = torch.tensor(model.spread, dtype=seen.dtype, device=seen.device)[:, None, None]
        pixels = (seen.reshape(model.shape) * spread + mean).to(model.device, model.dtype)
        found = known_labels(update) or read_off_labels(model, update, 1) or [0]
        labels = torch.tensor(found, device=model.device)
        candidate = ImageCandidate(ImageBatch(pixels[None], labels), objective=0.0)
        session.progress(candidate, stage="analytic", iteration=1, total=1)
        return candidate


def first_linear(model: ImageModel) -> str:
    """The name of the first layer with weights, if it is linear over the whole image.

    Raises:
        ModelError: it is not.
    """
    size = int(torch.tensor(model.shape).prod())
    for name, layer in model.module.named_modules():
        if any(True for _ in layer.parameters(recurse=False)):
            if (
                isinstance(layer, nn.Linear)
                and layer.in_features == size
                and layer.bias is not None
            ):
                return str(name)
            raise ModelError(
                f"analytic recovery needs a linear first layer with a bias over all {size} "
                f"brightnesses; the first layer here is {type(layer).__name__} {name!r}"
            )
    raise ModelError("the model has no layer with weights")
