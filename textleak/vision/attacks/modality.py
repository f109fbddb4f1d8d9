"""Images, as a run of an attack asks of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from torch import nn

from textleak.core.consistency import check_fits, check_within, workable
from textleak.core.events import ImageFinished, ImageIteration
from textleak.core.modality import Modality
from textleak.core.update import SharedUpdate
from textleak.core.verdict import Verdict
from textleak.vision.attacks.counting import unsettled
from textleak.vision.attacks.verdict import PictureTolerance, judge_pictures, verify
from textleak.vision.models.image_model import ImageModel
from textleak.vision.pixels import encode_images
from textleak.vision.reconstruction import ImageCandidate, ImageReconstruction


class ImageModality(Modality[ImageModel, ImageCandidate, ImageReconstruction]):
    """Pictures with their classes."""

    name: ClassVar[str] = "image"

    @property
    def module(self) -> nn.Module:
        """The model's module."""
        return self.model.module

    def check(self, update: SharedUpdate) -> None:
        """Raise UpdateError where names, shapes or stated labels do not fit the model."""
        check_fits(update, self.model.parameters)
        check_within(update.metadata, labels=self.model.classes)

    def prepared(self, update: SharedUpdate) -> SharedUpdate:
        """The mean gradient of a weight delta's stated steps, in a range that can be squared.

        Brightnesses are matched to the length of the gradient too: that of a delta is the learning rate's.
        """
        local = update.metadata.local
        if local is not None:
            each = 1 / (local.rate * local.steps)
            update = replace(update, gradients={n: each * g for n, g in update.gradients.items()})
        return workable(update)

    def objective(self, candidate: ImageCandidate) -> float:
        """The value that the attack minimised."""
        return candidate.objective

    def step(self, candidate: ImageCandidate, facts: dict[str, Any]) -> ImageIteration:
        """The event that shows `candidate`: its pictures and classes."""
        return ImageIteration(**facts, **_shown(candidate))

    def explains(self, update: SharedUpdate, candidate: ImageCandidate) -> bool:
        """Whether each tensor of the batch's update is within the verdict's tolerance."""
        return verify(self.model, update, candidate.batch).worst < PictureTolerance().worst

    def error(self, update: SharedUpdate, candidate: ImageCandidate) -> float:
        """The relative error of the batch's update against the shared one."""
        return verify(self.model, update, candidate.batch).error

    def judge(self, update: SharedUpdate, candidate: ImageCandidate) -> Verdict:
        """What the update says of the batch, by changes that an eye would see."""
        return judge_pictures(self.model, update, candidate.batch)

    def warnings(
        self, update: SharedUpdate, candidate: ImageCandidate, verdict: Verdict
    ) -> tuple[str, ...]:
        """Kinks of the model, too few numbers in the update, and what left the batch unproven."""
        unproven = tuple(f"not proven: {reason}" for reason in verdict.reasons)
        return self.model.warnings() + unsettled(self.model, update) + unproven

    def reconstruction(
        self, candidate: ImageCandidate, facts: dict[str, Any]
    ) -> ImageReconstruction:
        """The batch and what was found out about it."""
        return ImageReconstruction(**facts, candidate=candidate)

    def end(self, found: ImageReconstruction, facts: dict[str, Any]) -> ImageFinished:
        """The event that ends the attack, with the pictures."""
        return ImageFinished(**facts, **_shown(found.candidate))


def _shown(candidate: ImageCandidate) -> dict[str, Any]:
    batch = candidate.batch
    return {"images": encode_images(batch.pixels), "labels": batch.classes}
