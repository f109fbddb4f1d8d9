"""Where an image attack stands, gathered from its events."""

from __future__ import annotations

import time
from collections.abc import Callable

from torch import Tensor

from textleak.core.events import Event, ImageFinished, ImageIteration
from textleak.report.progress import BaseProgress
from textleak.results.header import RunHeader
from textleak.vision.metrics import assign, mean_squared_errors, psnr_of
from textleak.vision.pixels import decode_images


class ImageProgress(BaseProgress[ImageIteration]):
    """A function of the events so far; with the truth, also how near the images have come.

    Args:
        header: what the run assumes.
        truth: (B, C, H, W) the private images, where they are known.
        clock: seconds.

    Attributes:
        images: (B, C, H, W) as they stand, in the truth's order where that is known.
        labels: their classes.
        psnr: of each image, where the truth is known.
    """

    def __init__(
        self,
        header: RunHeader,
        truth: Tensor | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(header, clock)
        self._forget(truth)

    def begin(self, index: int, count: int, truth: Tensor | None) -> None:
        """Another update is about to be attacked."""
        super().begin(index, count, truth)
        self._forget(truth)

    def _forget(self, truth: Tensor | None) -> None:
        self.truth = truth
        self.images: Tensor | None = None
        self.labels: list[int] = []
        self.psnr: list[float] = []

    def event(self, event: Event) -> None:
        """Take one event in."""
        super().event(event)
        if isinstance(event, ImageIteration | ImageFinished):
            self._look(decode_images(event.images), event.labels)

    def _look(self, images: Tensor, labels: list[int]) -> None:
        self.images, self.labels = images, labels
        if self.truth is None:
            return
        order = assign(images, self.truth)
        self.images, self.labels = images[order], [labels[index] for index in order]
        errors = mean_squared_errors(self.images, self.truth.float()).diagonal()
        self.psnr = [psnr_of(float(error)) for error in errors]
