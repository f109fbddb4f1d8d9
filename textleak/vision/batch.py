"""A batch of images with their classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class ImageBatch:
    """What one training step feeds an image classifier.

    Attributes:
        pixels: (B, C, H, W), brightness 0 to 1 (a recovery may stray outside).
        labels: (B,) class indices, or (B, K) class probabilities.
    """

    pixels: Tensor
    labels: Tensor

    def take(self, rows: Sequence[int]) -> ImageBatch:
        """The images with these indices."""
        at = list(rows)
        return ImageBatch(self.pixels[at], self.labels[at])

    @property
    def classes(self) -> list[int]:
        """The class of each image; the most probable one where probabilities are held."""
        labels = self.labels if self.labels.dim() == 1 else self.labels.argmax(1)
        return [int(label) for label in labels]
