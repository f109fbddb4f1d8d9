"""Where an image attack stands: the live view, and the same in a line."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.rule import Rule
from rich.text import Text

from textleak.report.live import clock_text, header_view, standing
from textleak.report.plain import standing_parts
from textleak.vision.report.preview import Gallery, decibels
from textleak.vision.report.progress import ImageProgress

SHOWN = 8  # images of a batch that the live view shows


def live_view(progress: ImageProgress) -> RenderableType:
    """What is assumed, progress, the objective's curve, PSNR, and the images as they stand."""
    head = (header_view(progress.header), Rule(style="dim"))
    if progress.latest is None:
        return Group(*head, Text(f"starting … {clock_text(progress.seconds)}", "dim"))
    facts = standing(progress)
    if progress.psnr:
        facts.add("PSNR", ", ".join(decibels(value) for value in progress.psnr))
    facts.add("labels", ", ".join(map(str, progress.labels)))
    return Group(*head, facts.grid, Text(), gallery(progress))


def gallery(progress: ImageProgress) -> Gallery:
    """The images as they stand, beside the true ones where these are known."""
    assert progress.images is not None
    truth = None if progress.truth is None else progress.truth[:SHOWN]
    names = ("truth | now" if truth is not None else "now") + " "
    captions = [
        f"{names}{decibels(progress.psnr[index]) if progress.psnr else ''}"
        for index in range(min(SHOWN, len(progress.images)))
    ]
    return Gallery(progress.images[:SHOWN], truth, captions)


def plain_line(progress: ImageProgress) -> str:
    """One line that says where the run stands, for logs and pipes."""
    if progress.latest is None:
        return "starting …"
    parts = standing_parts(progress)
    if progress.psnr:
        parts.append("PSNR " + ", ".join(decibels(value) for value in progress.psnr))
    return "  ".join([*parts, "labels " + ", ".join(map(str, progress.labels))])
