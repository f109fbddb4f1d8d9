"""Classes read off the last layer's gradient: nothing but the shared update is needed."""

from __future__ import annotations

import torch
from torch import Tensor

from textleak.core.update import SharedUpdate
from textleak.vision.models.image_model import ImageModel


def known_labels(update: SharedUpdate) -> list[int] | None:
    """The classes that the threat model grants, one an image, or None."""
    granted = update.metadata.labels
    return None if granted is None else [int(row[0]) for row in granted]


def read_off_labels(model: ImageModel, update: SharedUpdate, count: int) -> list[int] | None:
    """The classes of a batch from the last linear layer's gradient.

    The gradient of that layer's bias is the mean over images of (probabilities - truth): only the
    true class of a single image is negative (iDLG, Zhao et al. 2020, section 3). In a batch each
    image of a class lowers its entry by 1/B, so the classes are taken one by one where
    B * (the model's own probabilities - gradient) is largest (after Wainakh et al. 2022, LLG).

    Args:
        model: the public model; its probabilities are taken from images of noise.
        update: the shared update.
        count: B, the images in the batch.

    Returns:
        B classes in ascending order, or None where the last layer's gradient was not shared.
    """
    slope = _score_slope(model, update)
    if slope is None:
        return None
    if count == 1:
        return [int(slope.argmin())]
    noise = torch.rand(32, *model.shape).to(model.device, model.dtype)
    with torch.no_grad():
        usual = model.logits(noise).softmax(1).mean(0)  # (K,)
    left = count * (usual - slope.to(usual))
    chosen = []
    for _ in range(count):
        best = int(left.argmax())
        chosen.append(best)
        left[best] -= 1
    return sorted(chosen)


def _score_slope(model: ImageModel, update: SharedUpdate) -> Tensor | None:
    """The mean gradient of the loss by class score, (K,), up to scale where there is no bias."""
    if model.head is None:
        return None
    bias = update.gradients.get(f"{model.head}.bias")
    if bias is not None:
        return bias.float()
    weight = update.gradients.get(f"{model.head}.weight")
    # Features after a sigmoid or ReLU are positive, so a row's sum has its score's sign.
    return None if weight is None else weight.float().sum(1) / weight.float().sum(1).abs().sum()
