"""What an audit of images found, as it is written."""

from __future__ import annotations

from textleak.audit.record import attacked, outcome
from textleak.results.header import RunHeader
from textleak.results.history import ImageHistoryRow
from textleak.results.record import ImageRecord, ImageRunRecord, ImageUpdateRecord, finite
from textleak.vision.audit import ImageAudit, ImageResult, OneImage


def image_record(
    header: RunHeader, audit: ImageAudit, histories: list[list[ImageHistoryRow]]
) -> ImageRunRecord:
    """The record of an audited run on images.

    Args:
        header: what the run assumed.
        audit: its scored results.
        histories: the kept iterations, one list an update.
    """
    kept = histories + [[]] * (len(audit.batches) - len(histories))
    return ImageRunRecord(
        **dict(header),
        images=[one_record(image) for image in audit.images],
        mse=audit.mean("mse"),
        psnr=finite(audit.mean("psnr")),
        ssim=audit.mean("ssim"),
        label_match=audit.label_match,
        batches=[update_record(b, rows) for b, rows in zip(audit.batches, kept, strict=False)],
        **outcome(audit),
    )


def update_record(result: ImageResult, history: list[ImageHistoryRow]) -> ImageUpdateRecord:
    """The record of one attacked update."""
    return ImageUpdateRecord(size=len(result.images), history=history, **attacked(result))


def one_record(image: OneImage) -> ImageRecord:
    """The record of one image."""
    score = image.score
    return ImageRecord(
        reference_label=image.reference_label,
        recovered_label=image.label,
        mse=None if score is None else score.mse,
        psnr=None if score is None else finite(score.psnr),
        ssim=None if score is None else score.ssim,
        label_match=image.label_match,
        verified=image.verdict.word == "proven",
        verdict=image.verdict.word,
    )
