"""Where truth and reconstruction meet: scores of every image."""

from __future__ import annotations

from dataclasses import dataclass

from textleak.core.verdict import PartVerdict
from textleak.vision.batch import ImageBatch
from textleak.vision.client import PrivateImages
from textleak.vision.metrics import ImageScore, assign, score_image
from textleak.vision.reconstruction import ImageReconstruction

UNKNOWN = -1  # the class of a true image that has none


@dataclass(frozen=True)
class ImageAudit:
    """A reconstruction scored against the truth, where that is known.

    Attributes:
        recovered: the recovered batch in the order of the true images.
        truth: the private batch; None where it is not known.
        scores: one an image; none without the truth.
        verdicts: what the update says of each.
    """

    recovered: ImageBatch
    truth: ImageBatch | None
    scores: tuple[ImageScore, ...]
    verdicts: tuple[PartVerdict, ...]

    def mean(self, field: str) -> float | None:
        """The mean of one score over images; None where an image has none."""
        values = [getattr(score, field) for score in self.scores]
        if not values or any(value is None for value in values):
            return None
        return sum(float(value) for value in values) / len(values)


def audit(reconstruction: ImageReconstruction, private: PrivateImages | None) -> ImageAudit:
    """Pair every true image with its recovered one by optimal assignment, and score the pairs."""
    found = reconstruction.candidate.batch
    if private is None:
        return ImageAudit(found, None, (), reconstruction.verdict.parts)
    truth = private.batch
    order = assign(found.pixels, truth.pixels)
    paired = ImageBatch(found.pixels[order], found.labels[order])
    scores = [
        score_image(*images, *labels)
        for images, labels in zip(
            zip(paired.pixels, truth.pixels, strict=True),
            zip(paired.classes, truth.classes, strict=True),
            strict=True,
        )
    ]
    verdicts = tuple(reconstruction.verdict.parts[row] for row in order)
    return ImageAudit(paired, truth, tuple(scores), verdicts)
