"""How the pictures came out: what is kept of an image attack's iterations."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pydantic import Field

from textleak.core.events import Event, ImageIteration
from textleak.results.history import Kept, Moment, moment


class ImageHistoryRow(Moment):
    """The batch as it stood at one iteration.

    Attributes:
        psnr: of each image, in decibels, in the truth's order; null where equal, empty without truth.
        labels: the class of each image.
    """

    psnr: list[float | None] = Field(default_factory=list)
    labels: list[int] = Field(default_factory=list)


class ImageHistory(Kept[ImageHistoryRow]):
    """How the pictures came out."""

    def event(self, event: Event, psnr: Sequence[float], labels: Sequence[int]) -> None:
        """Take in what the attack says, with how near its images are and their classes."""
        if isinstance(event, ImageIteration):
            near = [value if math.isfinite(value) else None for value in psnr]
            self.take(ImageHistoryRow(**moment(event), psnr=near, labels=list(labels)))
