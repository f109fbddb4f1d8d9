"""A client: its training on private images between two exchanges, and what it shares of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from textleak.core.errors import DataError
from textleak.core.randomness import derived, stream
from textleak.core.threat_model import ThreatModel
from textleak.core.update import SharedUpdate, UpdateMetadata, check_shareable, shared_names
from textleak.defences import Defences, Memory
from textleak.training import train
from textleak.vision.batch import ImageBatch
from textleak.vision.models.image_model import ImageModel


@dataclass(frozen=True)
class PrivateImages:
    """The truth: what the client fed the model. Only `audit` and the metrics may see it."""

    batch: ImageBatch


class ImageClient:
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

    def __init__(
        self,
        model: ImageModel,
        threat_model: ThreatModel | None = None,
        *,
        seed: int | None = None,
        defences: Defences | None = None,
    ) -> None:
        self.model = model
        self.defences = defences or Defences()
        self.threat_model = self.defences.assumed(threat_model or ThreatModel(lengths=False))
        self.seed = seed
        self._memory: Memory = []
        self._exchanges = 0

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

    def share(self, private: PrivateImages) -> SharedUpdate:
        """One exchange: what the client's training gives and its defences let out.

        Raises:
            ConfigError: the defences or shared patterns do not fit the model.
            DataError: what would be shared is not finite.
        """
        batch, granted = private.batch, self.threat_model
        plan = self.defences.plan(shared_names(self.model.parameters, granted))
        seed = derived(self.seed, "client", "exchange", self._exchanges)
        self._exchanges += 1
        gradients = train(
            self.model.module,
            plan,
            lambda rows: self.model.loss(batch.take(rows)),
            count=len(batch.pixels),
            seed=seed,
        )
        metadata = UpdateMetadata(
            **self.defences.facts(plan, seeded=self.seed is not None),
            task="image",
            threat_model=granted,
            batch_size=len(batch.pixels) if granted.batch_size else None,
            labels=tuple((label,) for label in batch.classes) if granted.labels else None,
            model=self.model.recipe,
        )
        update = SharedUpdate(gradients, metadata)
        shared = self.defences.protect(update, seed=seed, memory=self._memory)
        return check_shareable(shared)
