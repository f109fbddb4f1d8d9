"""Where an image attack stands, gathered from its events."""

from __future__ import annotations

from torch import Tensor

from textleak.core.events import Event, ImageFinished, ImageIteration
from textleak.results.header import RunHeader
from textleak.vision.metrics import assign, mean_squared_errors, psnr_of
from textleak.vision.pixels import decode_images


class ImageProgress:
    """A function of the events so far; with the truth, also how near the images have come.

    Args:
        header: what the run assumes.
        truth: (B, C, H, W) the private images, where they are known.

    Attributes:
        latest: the newest iteration.
        images: (B, C, H, W) its images, in the truth's order where that is known.
        psnr: of each image, where the truth is known.
        objectives: of every iteration.
        finished: the end, once it has come.
    """

    def __init__(self, header: RunHeader, truth: Tensor | None = None) -> None:
        self.header = header
        self.truth = truth
        self.latest: ImageIteration | None = None
        self.finished: ImageFinished | None = None
        self.images: Tensor | None = None
        self.labels: list[int] = []
        self.psnr: list[float] = []
        self.objectives: list[float] = []

    def event(self, event: Event) -> None:
        """Take one event in."""
        if isinstance(event, ImageIteration):
            self.latest = event
            self.objectives.append(event.objective)
        elif isinstance(event, ImageFinished):
            self.finished = event
        else:
            return
        self._look(decode_images(event.images), event.labels)

    def _look(self, images: Tensor, labels: list[int]) -> None:
        self.images, self.labels = images, labels
        if self.truth is None:
            return
        order = assign(images, self.truth)
        self.images, self.labels = images[order], [labels[index] for index in order]
        errors = mean_squared_errors(self.images, self.truth.float()).diagonal()
        self.psnr = [psnr_of(float(error)) for error in errors]
