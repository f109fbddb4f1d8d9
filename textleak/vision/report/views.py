"""The views of a run on images: each update's outcome, and what it all comes to."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text
from torch import Tensor

from textleak.report.facts import Facts
from textleak.report.final import add_outcome, update_line
from textleak.report.history import moments_table
from textleak.report.screen import Mode
from textleak.report.views import Views
from textleak.results.folder import SavedRun
from textleak.results.header import RunHeader
from textleak.results.history import ImageHistoryRow
from textleak.results.record import ImageRecord, ImageRunRecord, ImageUpdateRecord
from textleak.vision.data.folder import read_picture
from textleak.vision.pixels import from_picture
from textleak.vision.report.live import gallery
from textleak.vision.report.preview import decibels
from textleak.vision.report.progress import ImageProgress
from textleak.vision.report.screen import ImageScreen

ORIGINAL, RECOVERED = "original", "recovered"


class ImageViews(Views[ImageRecord, ImageUpdateRecord, ImageRunRecord]):
    """The views of a run on images."""

    def __init__(self, header: RunHeader, console: Console, mode: Mode, every: int) -> None:
        self.screen: ImageScreen = ImageScreen(console, ImageProgress(header), mode, every)

    @classmethod
    def of(cls, run: SavedRun, console: Console, mode: Mode, every: int) -> ImageViews:
        """The views of a saved run."""
        return cls(run.header, console, mode, every)

    def known(self, run: SavedRun, index: int) -> Tensor | None:
        """The true images of update `index`, as they were kept, (B, C, H, W)."""
        before = run.before(index)
        numbers = range(before, before + len(run.parts(index)))
        paths = [run.folder / f"{ORIGINAL}-{number}.png" for number in numbers]
        if not paths or not all(path.is_file() for path in paths):
            return None
        return torch.stack([from_picture(read_picture(path)) for path in paths])

    def outcome(
        self, parts: Sequence[ImageRecord], update: ImageUpdateRecord, *, index: int, count: int
    ) -> RenderableType:
        """Every image's scores, and on a live screen the images themselves."""
        title = f"update {index + 1} of {count}" if count > 1 else ""
        blocks: list[RenderableType] = []
        if not title and self.screen.mode != "quiet" and update.history:
            blocks += [Rule(style="dim"), history_table(update.history)]
        blocks += [Rule(title, style="dim", align="left"), scores_table(parts)]
        if title:
            blocks.append(Padding(update_line(update), (0, 0, 0, 2)))
        if self.screen.mode == "live" and self.screen.progress.images is not None:
            blocks.append(gallery(self.screen.progress))
        return Group(*blocks)

    def summary(self, record: ImageRunRecord) -> RenderableType:
        """Mean scores, verification, cost, assumptions, notes and warnings."""
        return summary_view(record)


def history_table(rows: Sequence[ImageHistoryRow]) -> RenderableType:
    """PSNR by iteration, or the classes where the truth is not known."""
    if not any(row.psnr for row in rows):
        return moments_table(rows, "labels", lambda row: ", ".join(map(str, row.labels)))
    return moments_table(
        rows,
        "PSNR",
        lambda row: ", ".join(decibels(math.inf if v is None else v) for v in row.psnr),
    )


def scores_table(images: Sequence[ImageRecord]) -> RenderableType:
    """Every image's scores and classes."""
    known = any(image.mse is not None for image in images)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    scores = ("PSNR", "SSIM", "MSE") if known else ()
    for name in ("image", *scores, "label", *(("truth",) if known else ())):
        table.add_column(name, justify="right")
    for index, image in enumerate(images):
        wrong = image.label_match is False
        label = Text(_label(image.recovered_label), "red" if wrong else "")
        truth = (_label(image.reference_label),) if known else ()
        table.add_row(str(index), *_scores(image, known), label, *truth)
    return table


def summary_view(record: ImageRunRecord) -> RenderableType:
    """What the run comes to."""
    facts = Facts()
    scored = [image for image in record.images if image.mse is not None]
    if len(scored) > 1:
        values = sorted(_psnr(image) for image in scored)
        least = f"{decibels(values[0])} to {decibels(values[-1])}"
        facts.add("PSNR", f"{least}, median {decibels(values[(len(values) - 1) // 2])}")
    if record.label_match is not None and len(scored) > 1:
        facts.add("labels", f"{record.label_match:.0%} right")
    add_outcome(facts, record, empty=not record.images)
    return Group(Rule(style="dim"), facts.grid)


def _psnr(image: ImageRecord) -> float:
    return math.inf if image.psnr is None else image.psnr


def _label(label: int | None) -> str:
    return "–" if label is None else str(label)


def _scores(image: ImageRecord, known: bool) -> tuple[str, ...]:
    if image.mse is None:
        return ("–",) * 3 if known else ()
    ssim = "–" if image.ssim is None else f"{image.ssim:.3f}"
    return decibels(_psnr(image)), ssim, f"{image.mse:.2e}"
