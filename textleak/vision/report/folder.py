"""What the folder of a run on images holds besides: the pictures, and a figure an update."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL.Image import Image

from textleak.results.folder import RunFolder
from textleak.vision.audit import ImageResult
from textleak.vision.pixels import to_picture
from textleak.vision.report.figure import Frames, draw_figure
from textleak.vision.report.views import ORIGINAL, RECOVERED


def keep_pictures(
    folder: RunFolder, result: ImageResult, frames: Frames, *, index: int, before: int
) -> None:
    """Keep an update's pictures, and `figure.png`: the recovery over time beside the original.

    Args:
        folder: of the run.
        result: the scored update.
        frames: its images while it was attacked.
        index: which update, from 0; the figure of the second is `figure-2.png`.
        before: how many images the updates before it have; pictures are numbered over the run.
    """
    final = result.recovered.pixels.cpu().float()
    truth = None if result.truth is None else result.truth.pixels.cpu().float()
    for name, images in ((RECOVERED, final), (ORIGINAL, truth)):
        for number, image in enumerate(() if images is None else images, before):
            folder.keep(f"{name}-{number}.png", _saved(to_picture(image)))
    if len(final):
        figure = "figure.png" if index == 0 else f"figure-{index + 1}.png"
        folder.keep(figure, _saved(draw_figure(frames.chosen(), final, truth)))


def _saved(picture: Image) -> Any:
    def write(path: Path) -> None:
        picture.save(path, format="png")

    return write
