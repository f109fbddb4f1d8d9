"""What the terminal shows of an image attack: while it runs, line by line, and at its end."""

from __future__ import annotations

import math

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from textleak.report.facts import Facts
from textleak.report.final import add_outcome
from textleak.report.live import clock_text, header_view
from textleak.report.sparkline import objective_text, sparkline
from textleak.vision.report.preview import Gallery, decibels
from textleak.vision.report.progress import ImageProgress
from textleak.vision.report.record import ImageRecord, ImageRunRecord

SHOWN = 8  # images of a batch that the live view shows


def live_view(progress: ImageProgress) -> RenderableType:
    """What is assumed, progress, the objective's curve, PSNR, and the images as they stand."""
    now = progress.latest
    head = (header_view(progress.header), Rule(style="dim"))
    if now is None:
        return Group(*head, Text("starting …", "dim"))
    facts = Facts()
    row = Table.grid(padding=(0, 1))
    count = f"{now.iteration}/{now.total}" if now.total else str(now.iteration)
    bar = ProgressBar(total=now.total or 1, completed=now.iteration if now.total else 0, width=20)
    row.add_row(Text(now.stage, "bold"), bar, count, Text(clock_text(now.seconds)))
    facts.add("stage", row)
    objective = Text(f"{objective_text(now.objective)}  ", style="bold")
    objective.append(sparkline(progress.objectives), style="cyan")
    objective.append(f"  {now.evaluations} evaluations", style="dim")
    facts.add("objective", objective)
    if progress.psnr:
        facts.add("PSNR", ", ".join(decibels(value) for value in progress.psnr))
    facts.add("labels", ", ".join(map(str, progress.labels)))
    assert progress.images is not None  # an iteration has come
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
    now = progress.latest
    if now is None:
        return "starting …"
    count = f"{now.iteration}/{now.total}" if now.total else str(now.iteration)
    parts = [
        f"{now.seconds:.1f} s",
        f"{now.stage} {count}",
        f"objective {objective_text(now.objective)}",
        f"{now.evaluations} evaluations",
    ]
    if progress.psnr:
        parts.append("PSNR " + ", ".join(decibels(value) for value in progress.psnr))
    return "  ".join([*parts, "labels " + ", ".join(map(str, progress.labels))])


def final_view(record: ImageRunRecord) -> RenderableType:
    """Every image's scores, then what every run's end says."""
    known = any(image.mse is not None for image in record.images)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    scores = ("PSNR", "SSIM", "MSE") if known else ()
    for name in ("image", *scores, "label", *(("truth",) if known else ())):
        table.add_column(name, justify="right")
    for index, image in enumerate(record.images):
        wrong = image.label_match is False
        label = Text(str(image.recovered_label), "red" if wrong else "")
        true = "–" if image.reference_label is None else str(image.reference_label)
        truth = (true,) if known else ()
        table.add_row(str(index), *_scores(image), label, *truth)
    facts = Facts()
    add_outcome(facts, record, empty=not record.images)
    return Group(Rule(style="dim"), table, Text(), facts.grid)


def _scores(image: ImageRecord) -> tuple[str, ...]:
    if image.mse is None:
        return ()
    psnr = decibels(math.inf if image.psnr is None else image.psnr)
    ssim = "–" if image.ssim is None else f"{image.ssim:.3f}"
    return psnr, ssim, f"{image.mse:.2e}"
