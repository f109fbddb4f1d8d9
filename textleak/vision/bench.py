"""What matching an image's gradient costs: the problem that `textleak bench matching` times."""

from __future__ import annotations

import torch
from torch import Tensor

from textleak.bench.matching import Problem
from textleak.gradients import Forward, Recorder, parameter_gradients
from textleak.vision.models.image_model import ImageModel


def soft_labelled_images(model: ImageModel, batch: int = 1, seed: int = 0) -> Problem:
    """DLG's evaluation: dummy images under fixed soft labels, against a random batch's gradient.

    Args:
        model: the classifier.
        batch: B, the images of one candidate.
        seed: draws the images, the labels and the dummies.
    """
    source = torch.Generator().manual_seed(seed)
    targets = torch.rand(batch, model.classes, generator=source).softmax(1).to(model.device)
    secret = torch.rand(batch, *model.shape, generator=source).to(model.device, model.dtype)

    def forward(dummy: Tensor, candidates: int) -> Forward:
        def losses(_: Recorder) -> Tensor:
            each = model.losses(dummy, targets.to(dummy).repeat(candidates, 1))
            return each.reshape(candidates, batch).mean(1)

        return losses

    def dummy(candidates: int) -> Tensor:
        drawn = torch.rand(candidates * batch, *model.shape, generator=source)
        return drawn.to(model.device, model.dtype).requires_grad_()

    shared = parameter_gradients(
        model.module, lambda: model.losses(secret, targets.to(secret)).mean()
    )
    return Problem(model.module, shared, dummy, forward, batch)
