"""Inverting Gradients (Geiping et al., NeurIPS 2020): cosine, total variation, signed Adam."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from textleak.core.bounds import Count
from textleak.core.errors import UpdateError
from textleak.core.update import SharedUpdate
from textleak.gradients import Distance
from textleak.optim.decay import DECAY_AT
from textleak.vision.attacks.base import ImageAttack, ImageSession
from textleak.vision.attacks.counting import batch_size
from textleak.vision.attacks.labels import known_labels, read_off_labels
from textleak.vision.attacks.objective import ImageObjective
from textleak.vision.models.image_model import ImageModel
from textleak.vision.reconstruction import ImageCandidate

REPORT_EVERY = 20


class InvertingOptions(BaseModel):
    """How the search goes.

    Attributes:
        iterations: Adam steps.
        learning_rate: the first step in brightness.
        total_variation: weight of the prior (the paper's alpha).
        restarts: starting points, taken together.
        signed: step by the gradient's sign (section 4).
        boxed: keep brightness between 0 and 1.
        at_once: restarts that one pass takes at most; fewer need less memory. None takes all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    iterations: Count = 2400
    learning_rate: float = Field(default=0.1, gt=0)
    total_variation: float = Field(default=1e-2, ge=0)
    restarts: Count = 2
    signed: bool = True
    boxed: bool = True
    at_once: Count | None = None


class InvertingGradients(ImageAttack[InvertingOptions]):
    """Matches the gradient's direction under a prior of smooth images; needs no strong convexity."""

    name: ClassVar[str] = "inverting"
    options_class: ClassVar[type[BaseModel]] = InvertingOptions

    def run(self, model: ImageModel, update: SharedUpdate, session: ImageSession) -> ImageCandidate:
        """Adam over all restarts; the best is chosen by its gradient distance alone."""
        options = self.options
        objective = ImageObjective(
            model, update, Distance("cosine-all"), session, _labels(model, update), options.at_once
        )
        start = torch.randn(options.restarts, objective.size).to(model.device, model.dtype)
        points = start.requires_grad_()
        adam = torch.optim.Adam([points], lr=options.learning_rate)
        milestones = [int(share * options.iterations) for share in DECAY_AT]
        schedule = torch.optim.lr_scheduler.MultiStepLR(adam, milestones, gamma=0.1)
        best = start.detach().clone()
        lowest = torch.full((len(best),), torch.inf, device=best.device, dtype=best.dtype)
        for iteration in range(1, options.iterations + 1):
            distances, slopes = objective(points)
            better = distances < lowest
            lowest = torch.where(better, distances, lowest)
            best = torch.where(better[:, None], points.detach(), best)
            if iteration % REPORT_EVERY == 0 or iteration == options.iterations:
                session.progress(
                    objective.candidate(best, lowest),
                    stage="match",
                    iteration=iteration,
                    total=options.iterations,
                )
            images = objective.split(points)[0]
            prior = options.total_variation * total_variation(images)
            slopes += torch.autograd.grad(prior.sum(), points)[0]
            points.grad = slopes.sign() if options.signed else slopes
            adam.step()
            schedule.step()
            if options.boxed:
                with torch.no_grad():
                    points[:, : objective.pixels].clamp_(0, 1)
        return objective.candidate(best, lowest)


def total_variation(images: Tensor) -> Tensor:
    """Mean absolute difference of neighbours, (R,), of images (R, B, C, H, W).

    >>> float(total_variation(torch.ones(1, 1, 1, 2, 2)))
    0.0
    """
    down = (images[..., 1:, :] - images[..., :-1, :]).abs().flatten(1).mean(1)
    across = (images[..., :, 1:] - images[..., :, :-1]).abs().flatten(1).mean(1)
    return down + across


def _labels(model: ImageModel, update: SharedUpdate) -> Sequence[int]:
    found = known_labels(update) or read_off_labels(model, update, batch_size(update))
    if found is None:
        raise UpdateError(
            "inverting takes the labels from the last linear layer's gradient, "
            "which this update does not hold; dlg searches for them instead"
        )
    return found
