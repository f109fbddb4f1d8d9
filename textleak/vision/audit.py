"""Where truth and reconstruction of images meet: scores of every image."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor

from textleak.audit.each import NO_WATCHER, AttackCall, Scoring, Watcher, audit_each
from textleak.audit.failure import told
from textleak.audit.result import BaseAudit
from textleak.core.budget import Budget
from textleak.core.update import SharedUpdate
from textleak.core.verdict import PartVerdict, alike
from textleak.vision.batch import ImageBatch
from textleak.vision.client import PrivateImages
from textleak.vision.metrics import ImageScore, assign, score_image
from textleak.vision.models.image_model import ImageModel
from textleak.vision.reconstruction import ImageCandidate, ImageReconstruction

Exchange: TypeAlias = tuple[Callable[[], SharedUpdate], PrivateImages | None]
UNKNOWN = -1  # the class of a true image that has none


@dataclass(frozen=True)
class OneImage:
    """One recovered image beside the true one.

    Attributes:
        label: the recovered class; None where the attack came to nothing.
        reference_label: the true class, where it is known.
        score: how near it comes; None where the truth is not known, or the attack came to nothing.
        verdict: what the update says of it.
    """

    label: int | None
    reference_label: int | None = None
    score: ImageScore | None = None
    verdict: PartVerdict = field(default_factory=lambda: PartVerdict("unexplained"))

    @property
    def label_match(self) -> bool | None:
        """Whether the class is right; None where that is not known."""
        known = self.score is not None and self.reference_label is not None
        return self.label == self.reference_label if known else None


@dataclass(frozen=True)
class ImageResult:
    """One attacked update, its images in the order of the true ones.

    Attributes:
        images: what is said of each.
        recovered: the recovered batch; it holds nothing where the attack came to nothing.
        truth: the private batch; None where it is not known.
        reconstruction: what the attack returned.
        failure: why the attack came to nothing, where it did.
    """

    images: list[OneImage]
    recovered: ImageBatch
    truth: ImageBatch | None
    reconstruction: ImageReconstruction
    failure: str | None = None

    @property
    def scores(self) -> list[ImageScore]:
        """Of every image that has one."""
        return [image.score for image in self.images if image.score is not None]


@dataclass(frozen=True)
class ImageAudit(BaseAudit[ImageResult]):
    """Every attacked update of a run on images."""

    @property
    def images(self) -> list[OneImage]:
        """The images of every update."""
        return [image for batch in self.batches for image in batch.images]

    def mean(self, metric: str) -> float | None:
        """The mean of one score over images; None where none was scored, or one has no such score."""
        values = [getattr(image.score, metric) for image in self.images if image.score is not None]
        if not values or any(value is None for value in values):
            return None
        return sum(float(value) for value in values) / len(values)

    @property
    def label_match(self) -> float | None:
        """The fraction of right classes; None where no truth is known."""
        known = [i.label_match for i in self.images if i.label_match is not None]
        return sum(known) / len(known) if known else None


def audit_images(
    model: ImageModel,
    attack: AttackCall,
    exchanges: Sequence[Exchange],
    *,
    seed: int = 0,
    budget: Budget | None = None,
    watcher: Watcher = NO_WATCHER,
) -> ImageAudit:
    """Have each update made, attack it, and score what comes back; see `audit_each`."""
    results, interrupted = audit_each(
        ImageScoring(), model, attack, exchanges, seed=seed, budget=budget, watcher=watcher
    )
    return ImageAudit(results, interrupted=interrupted)


class ImageScoring(Scoring[PrivateImages | None, ImageReconstruction, ImageResult]):
    """The scoring of images, where the true ones are known."""

    def truth(self, private: PrivateImages | None) -> Tensor | None:
        """The brightness of the true images, (B, C, H, W)."""
        return None if private is None else private.batch.pixels.cpu()

    def scored(
        self, update: SharedUpdate, found: ImageReconstruction, private: PrivateImages | None
    ) -> ImageResult:
        """Every true image beside its recovered one."""
        return score(found, private)

    def failed(
        self, error: Exception, seconds: float, private: PrivateImages | None
    ) -> ImageResult:
        """Nothing recovered, nothing scored: what fails counts in no mean."""
        batch = ImageBatch(torch.zeros(0, 1, 1, 1), torch.zeros(0, dtype=torch.long))
        nothing = ImageReconstruction(
            attack="",
            candidate=ImageCandidate(batch, math.inf),
            evaluations=0,
            seconds=seconds,
            gradient_error=math.inf,
            verdict=alike("unexplained", 0, math.inf, ""),
        )
        truth = None if private is None else private.batch
        classes = [] if truth is None else truth.classes
        images = [OneImage(None, _known(label)) for label in classes]
        return ImageResult(images, batch, truth, nothing, failure=told(error))


def score(found: ImageReconstruction, private: PrivateImages | None) -> ImageResult:
    """Pair every true image with its recovered one by optimal assignment, and score the pairs."""
    batch, parts = found.candidate.batch, found.verdict.parts
    if private is None:
        alone = [
            OneImage(label, verdict=part) for label, part in zip(batch.classes, parts, strict=True)
        ]
        return ImageResult(alone, batch, None, found)
    truth = private.batch
    order = assign(batch.pixels, truth.pixels)
    paired = batch.take(order)
    images = []
    for row, (label, true) in enumerate(zip(paired.classes, truth.classes, strict=True)):
        near = score_image(paired.pixels[row], truth.pixels[row], label, true)
        images.append(OneImage(label, _known(true), near, parts[order[row]]))
    return ImageResult(images, paired, truth, found)


def _known(label: int) -> int | None:
    return None if label == UNKNOWN else label
