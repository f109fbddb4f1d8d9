"""The paper's figure: the recovery at chosen iterations beside the original."""

from __future__ import annotations

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from textleak.core.events import Event, ImageIteration
from textleak.vision.metrics import assign
from textleak.vision.pixels import decode_images, to_picture

COLUMNS = 8
SIDE = 96  # pixels that each image is enlarged to, about
GAP = 4
CAPTION = 16


class Frames:
    """Keeps the images of a run at iterations spread evenly over it, few however long it is.

    Every second frame is dropped whenever there are too many, so the memory is bounded and no
    length has to be known beforehand.
    """

    def __init__(self, most: int = 8 * COLUMNS) -> None:
        self._most = most
        self._stride = 1
        self._frames: list[tuple[int, Tensor]] = []

    def event(self, event: Event) -> None:
        """Take one event in."""
        if not isinstance(event, ImageIteration) or event.iteration % self._stride:
            return
        self._frames.append((event.iteration, decode_images(event.images)))
        if len(self._frames) > self._most:
            self._stride *= 2
            self._frames = [frame for frame in self._frames if frame[0] % self._stride == 0]

    def chosen(self, count: int = COLUMNS) -> list[tuple[int, Tensor]]:
        """At most `count` frames as (iteration, (B, C, H, W)): dense early, where most happens."""
        if len(self._frames) <= count:
            return list(self._frames)
        last = len(self._frames) - 1
        places = sorted({round(last * (step / (count - 1)) ** 1.5) for step in range(count)})
        return [self._frames[place] for place in places]


def draw_figure(
    frames: list[tuple[int, Tensor]], final: Tensor, truth: Tensor | None
) -> Image.Image:
    """One row an image: frames in time, the recovery, and the original where it is known.

    Args:
        frames: (iteration, (B, C, H, W)) in time.
        final: (B, C, H, W) the recovery, in the truth's order.
        truth: (B, C, H, W) the private images, where they are known.
    """
    columns: list[tuple[str, Tensor]] = [
        (f"it {iteration}", images[assign(images, final)]) for iteration, images in frames
    ]
    columns.append(("recovered", final))
    if truth is not None:
        columns.append(("original", truth))
    count, _, height, width = final.shape
    scale = max(1, round(SIDE / max(height, width)))
    cell_width, cell_height = max(width * scale, 60) + GAP, height * scale + GAP
    size = (GAP + cell_width * len(columns), CAPTION + GAP + cell_height * count)
    figure = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(figure)
    for column, (name, images) in enumerate(columns):
        left = GAP + column * cell_width
        draw.text((left, 2), name, fill="black")
        for row in range(count):
            enlarged = to_picture(_as_colour(images[row])).resize(
                (width * scale, height * scale), Image.Resampling.NEAREST
            )
            figure.paste(enlarged, (left, CAPTION + GAP + row * cell_height))
    return figure


def _as_colour(image: Tensor) -> Tensor:
    return image if len(image) == 3 else torch.cat([image] * 3)
