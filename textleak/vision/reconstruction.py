"""What an image attack returns: the recovered batch, and how sure it is."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from textleak.core.budget import Stop
from textleak.core.verdict import Verdict
from textleak.vision.batch import ImageBatch


@dataclass(frozen=True)
class ImageCandidate:
    """A recovered batch as an attack's algorithm leaves it.

    Attributes:
        batch: the recovered images and labels, on the model's device.
        objective: the value that the attack minimised.
        notes: what the attack wants to say of how it got there.
    """

    batch: ImageBatch
    objective: float
    notes: tuple[str, ...] = ()

    def to(self, dtype: torch.dtype) -> ImageCandidate:
        """The same candidate in the type `dtype`."""
        labels = self.batch.labels
        kept = labels.to(dtype) if labels.is_floating_point() else labels
        return replace(self, batch=ImageBatch(self.batch.pixels.to(dtype), kept))


@dataclass(frozen=True)
class ImageReconstruction:
    """The outcome of an attack on images.

    Attributes:
        attack: the attack's name.
        candidate: the recovered batch.
        evaluations: how many candidate gradients were evaluated.
        seconds: wall-clock time.
        gradient_error: relative error of the recovered batch's gradient against the shared one.
        verdict: what the update says of the recovery, as a whole and of each picture.
        stopped: what ended the attack early, its budget or the user: this is the best found so far.
        warnings: what makes this result unreliable.
    """

    attack: str
    candidate: ImageCandidate
    evaluations: int
    seconds: float
    gradient_error: float
    verdict: Verdict
    stopped: Stop | None = None
    warnings: tuple[str, ...] = ()

    @property
    def interrupted(self) -> bool:
        """Whether the user stopped the attack."""
        return self.stopped == "user"

    @property
    def verified(self) -> bool:
        """Whether the whole batch is proven, without the truth."""
        return self.verdict.verified
