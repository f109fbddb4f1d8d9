"""Where truth and reconstruction meet: scores of every image, and the JSON that holds them."""

from __future__ import annotations

import math
import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from textleak.update import SharedUpdate
from textleak.verdict.verdict import PartVerdict
from textleak.vision.batch import ImageBatch
from textleak.vision.client import PrivateImages
from textleak.vision.metrics import ImageScore, assign, score_image
from textleak.vision.reconstruction import ImageReconstruction

SCHEMA = 2


@dataclass(frozen=True)
class ImageAudit:
    """A reconstruction scored against the truth.

    Attributes:
        recovered: the recovered batch in the order of the true images.
        truth: the private batch.
        scores: one an image.
        verdicts: what the update says of each.
    """

    recovered: ImageBatch
    truth: ImageBatch
    scores: tuple[ImageScore, ...]
    verdicts: tuple[PartVerdict, ...]

    def mean(self, field: str) -> float | None:
        """The mean of one score over images; None where an image has none."""
        values = [getattr(score, field) for score in self.scores]
        if any(value is None for value in values):
            return None
        return sum(float(value) for value in values) / len(values)


def audit(reconstruction: ImageReconstruction, private: PrivateImages) -> ImageAudit:
    """Pair every true image with its recovered one by optimal assignment, and score the pairs."""
    found, truth = reconstruction.candidate.batch, private.batch
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


def to_json(
    result: ImageReconstruction, scored: ImageAudit, update: SharedUpdate, *, seed: int
) -> dict[str, Any]:
    """The command line's JSON object, with image fields in place of the text ones.

    A PSNR of equal images is infinite, which JSON cannot hold: it is null, with an `mse` of 0.
    """
    recipe, privacy = update.metadata.model, update.metadata.privacy
    return {
        "schema": SCHEMA,
        "command": "vision attack",
        "attack": result.attack,
        "model": recipe.name if recipe else None,
        "activation": recipe.activation if recipe else None,
        "task": "image",
        "threat_model": update.metadata.threat_model.model_dump(mode="json"),
        "defences": list(update.metadata.defences),
        "privacy": privacy.model_dump(mode="json") if privacy else None,
        "seed": seed,
        "versions": versions(),
        "images": [
            {
                "reference_label": true,
                "recovered_label": found,
                "mse": score.mse,
                "psnr": _finite(score.psnr),
                "ssim": score.ssim,
                "label_match": score.label_match,
                "verified": said.word == "proven",
                "verdict": said.word,
            }
            for score, true, found, said in zip(
                scored.scores,
                scored.truth.classes,
                scored.recovered.classes,
                scored.verdicts,
                strict=True,
            )
        ],
        "mse": scored.mean("mse"),
        "psnr": _finite(scored.mean("psnr")),
        "ssim": scored.mean("ssim"),
        "label_match": scored.mean("label_match"),
        "verified": result.verified,
        "verdict": result.verdict.word,
        "gradient_error": _finite(result.gradient_error),
        "scale": _finite(result.verdict.scale),
        "evaluations": result.evaluations,
        "seconds": result.seconds,
        "seconds_per_evaluation": result.seconds / max(result.evaluations, 1),
        "interrupted": result.interrupted,
        "warnings": list(result.warnings),
    }


def versions() -> dict[str, str]:
    """What a run can depend on."""
    try:
        own = version("textleak")
    except PackageNotFoundError:
        own = "uninstalled"
    return {"textleak": own, "torch": str(torch.__version__), "python": platform.python_version()}


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
