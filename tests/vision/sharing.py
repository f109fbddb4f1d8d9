"""What a client shares of pictures, and how near a recovery comes, for tests of the attacks between."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from textleak.core.update import SharedUpdate
from textleak.vision.audit import score
from textleak.vision.client import ImageClient, PrivateImages
from textleak.vision.metrics import ImageScore
from textleak.vision.models import ImageModel
from textleak.vision.reconstruction import ImageReconstruction

__all__ = ["PrivateImages", "scores", "share"]


def share(
    model: ImageModel, pixels: Tensor, labels: list[int], **how: Any
) -> tuple[PrivateImages, SharedUpdate]:
    """The truth, and the update of an `ImageClient` made with the keywords `how`."""
    client = ImageClient(model, **{"seed": 0, **how})
    private = client.prepare(pixels, labels)
    return private, client.share(private)


def scores(result: ImageReconstruction, private: PrivateImages) -> list[ImageScore]:
    """The scores of a recovery's images, each with its best match."""
    return list(score(result, private).scores)
