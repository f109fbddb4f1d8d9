"""The record of a run on images: the text half's, with image fields in place of the text ones."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from textleak.core.verdict import Word
from textleak.results.header import RunHeader
from textleak.results.record import OutcomeRecord, UpdateRecord, finite
from textleak.vision.audit import UNKNOWN, ImageAudit
from textleak.vision.reconstruction import ImageReconstruction
from textleak.vision.report.history import ImageHistoryRow


class ImageRecord(BaseModel):
    """One image; what needs the truth is null where it is not known.

    The PSNR of equal images is infinite, which JSON cannot hold: it is null, with an `mse` of 0.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    reference_label: int | None
    recovered_label: int
    mse: float | None
    psnr: float | None
    ssim: float | None
    label_match: bool | None
    verified: bool
    verdict: Word


class ImageUpdateRecord(UpdateRecord):
    """One attacked update of an image model."""

    history: list[ImageHistoryRow] = Field(default_factory=list)


class ImageRunRecord(OutcomeRecord):
    """The whole run on images; scores are means over them."""

    images: list[ImageRecord]
    mse: float | None
    psnr: float | None
    ssim: float | None
    label_match: float | None
    batches: list[ImageUpdateRecord] = Field(default_factory=list)


def image_record(
    header: RunHeader,
    found: ImageReconstruction,
    scored: ImageAudit,
    history: list[ImageHistoryRow],
) -> ImageRunRecord:
    """The record of an audited run.

    Args:
        header: what the run assumed.
        found: what the attack recovered.
        scored: the same in the order of the true images, with scores where these are known.
        history: the kept iterations.
    """
    update = ImageUpdateRecord(
        size=len(scored.recovered.classes),
        verified=found.verified,
        verdict=found.verdict.word,
        scale=finite(found.verdict.scale),
        gradient_error=finite(found.gradient_error),
        objective=finite(found.candidate.objective),
        evaluations=found.evaluations,
        seconds=found.seconds,
        stopped=found.stopped,
        history=history,
    )
    images = _images(scored)
    known = [image.label_match for image in images if image.label_match is not None]
    return ImageRunRecord(
        **dict(header),
        images=images,
        mse=scored.mean("mse"),
        psnr=finite(scored.mean("psnr")),
        ssim=scored.mean("ssim"),
        label_match=sum(known) / len(known) if known else None,
        verified=update.verified,
        verdict=update.verdict,
        scale=update.scale,
        gradient_error=update.gradient_error,
        evaluations=update.evaluations,
        seconds=update.seconds,
        seconds_per_evaluation=update.seconds / max(update.evaluations, 1),
        stopped=found.stopped,
        interrupted=found.interrupted,
        notes=list(found.candidate.notes),
        warnings=list(found.warnings),
        batches=[update],
    )


def _images(scored: ImageAudit) -> list[ImageRecord]:
    classes = scored.recovered.classes
    said = [dict(verified=v.word == "proven", verdict=v.word) for v in scored.verdicts]
    if scored.truth is None:
        nothing = dict.fromkeys(("reference_label", "mse", "psnr", "ssim", "label_match"))
        return [
            ImageRecord.model_validate({"recovered_label": label, **nothing, **word})
            for label, word in zip(classes, said, strict=True)
        ]
    return [
        ImageRecord.model_validate(
            {
                "reference_label": None if true == UNKNOWN else true,
                "recovered_label": label,
                "mse": score.mse,
                "psnr": finite(score.psnr),
                "ssim": score.ssim,
                "label_match": None if true == UNKNOWN else score.label_match,
                **word,
            }
        )
        for score, true, label, word in zip(
            scored.scores, scored.truth.classes, classes, said, strict=True
        )
    ]
