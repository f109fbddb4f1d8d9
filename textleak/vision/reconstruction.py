"""What an image attack returns: the recovered batch, and how sure it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

import torch

from textleak.core.reconstruction import Reconstruction
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


ImageReconstruction: TypeAlias = Reconstruction[ImageCandidate]
