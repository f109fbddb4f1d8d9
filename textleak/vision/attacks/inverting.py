"""Inverting Gradients (Geiping et al., NeurIPS 2020): cosine, total variation, signed Adam."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from textleak.attacks.matching.adam import AdamOptions, adam
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

    @property
    def adam(self) -> AdamOptions:
        """How the points move: a tenth of the rate three times."""
        return AdamOptions(
            iterations=self.iterations,
            learning_rate=self.learning_rate,
            decay=0.1,
            decay_at=DECAY_AT,
            signed=self.signed,
        )


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

        def prior(points: Tensor) -> Tensor:
            return options.total_variation * total_variation(objective.split(points)[0])

        def boxed(_: int, points: Tensor) -> Tensor | None:
            images, rest = points.tensor_split([objective.pixels], dim=1)  # (R, B*C*H*W), labels
            return torch.cat([images.clamp(0, 1), rest], 1) if options.boxed else None

        search = adam(objective, start, options.adam, penalty=prior, judged=False, change=boxed)
        for step in search:
            if step.due(options.adam):
                session.progress(
                    objective.candidate(step.best, step.lowest),
                    stage="match",
                    iteration=step.iteration,
                    total=options.iterations,
                )
        return objective.candidate(step.best, step.lowest)


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
