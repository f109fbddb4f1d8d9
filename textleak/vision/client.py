"""A client: its training on private images between two exchanges, and what it shares of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from textleak.client.base import BaseClient
from textleak.core.errors import DataError
from textleak.core.randomness import stream
from textleak.core.threat_model import ThreatModel
from textleak.defences import Defences
from textleak.vision.batch import ImageBatch
from textleak.vision.models.image_model import ImageModel


@dataclass(frozen=True)
class PrivateImages:
    """The truth: what the client fed the model. Only `audit` and the metrics may see it."""

    batch: ImageBatch


class ImageClient(BaseClient[PrivateImages]):
    """Turns private images into a shared update.

    The model stays in evaluation mode: batch normalisation uses its fixed statistics, which are part
    of the public model, so that an image's gradient does not depend on its neighbours.

    Args:
        model: the public model.
        threat_model: what of the batch is granted to the attacker.
        seed: from which its chance follows (the labels of images that have none, what its defences
            draw), so that it can be repeated by whoever knows it; the operating system's where None.
        defences: what it does to protect its images.
    """

    model: ImageModel

    def __init__(
        self,
        model: ImageModel,
        threat_model: ThreatModel | None = None,
        *,
        seed: int | None = None,
        defences: Defences | None = None,
    ) -> None:
        self.seed = seed
        super().__init__(model, threat_model or ThreatModel(lengths=False), defences, seed)

    def prepare(self, pixels: Tensor, labels: Sequence[int | None] | None = None) -> PrivateImages:
        """Check one batch of images and label it.

        Args:
            pixels: (B, C, H, W), brightness 0 to 1.
            labels: the classes; one that is missing is drawn.

        Raises:
            DataError: images that do not fit the model or are not finite, or labels that do not fit.
        """
        if pixels.dim() != 4 or not len(pixels) or tuple(pixels.shape[1:]) != self.model.shape:
            raise DataError(
                f"expected images of shape (N, {', '.join(map(str, self.model.shape))}), "
                f"got {tuple(pixels.shape)}"
            )
        if not bool(torch.isfinite(pixels).all()):
            raise DataError("the images hold NaN or infinite values")
        given = list(labels) if labels is not None else [None] * len(pixels)
        if len(given) != len(pixels):
            raise DataError(f"expected {len(pixels)} labels, one an image, got {len(given)}")
        draws = stream(self.seed, "client", "classes")
        drawn = draws.below(self.model.classes, len(pixels)).tolist()
        chosen = [
            own if own is not None else by_lot for own, by_lot in zip(given, drawn, strict=True)
        ]
        if not all(0 <= label < self.model.classes for label in chosen):
            raise DataError(f"labels must lie between 0 and {self.model.classes - 1}, got {chosen}")
        device, dtype = self.model.device, self.model.dtype
        classes = torch.tensor(chosen, device=device)
        return PrivateImages(ImageBatch(pixels.to(device, dtype), classes))

    def count(self, private: PrivateImages) -> int:
        """How many images there are."""
        return len(private.batch.pixels)

    def loss(self, private: PrivateImages, rows: Sequence[int]) -> Tensor:
        """The training loss of the images with the indices `rows`."""
        return self.model.loss(private.batch.take(rows))

    def facts(self, private: PrivateImages) -> dict[str, Any]:
        """The task, and the classes where they are granted."""
        granted = tuple((label,) for label in private.batch.classes)
        return dict(task="image", labels=granted if self.threat_model.labels else None)
