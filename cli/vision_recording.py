"""A run on images as the command line conducts it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from textleak.audit import Watcher
from textleak.core.events import Event
from textleak.core.image_config import ImageRunConfig
from textleak.results.header import RunHeader
from textleak.results.history import ImageHistory
from textleak.results.pieces import Legend
from textleak.results.record import ImageRunRecord
from textleak.vision.audit import ImageAudit, ImageResult
from textleak.vision.record import image_record, one_record, update_record
from textleak.vision.report.figure import Frames
from textleak.vision.report.folder import keep_pictures
from textleak.vision.report.views import ImageViews

from .output import Output
from .recording import Recording


class ImageRecording(Recording[ImageResult, ImageAudit]):
    """The recording of a run on images; its folder keeps pictures and figures besides."""

    def __init__(self, output: Output, config: ImageRunConfig, header: RunHeader) -> None:
        views = ImageViews(header, output.console, output.mode, config.every)
        super().__init__(output, config, header, views, Legend())
        self.progress = views.screen.progress
        self.histories: list[ImageHistory] = []
        self._frames, self._before = Frames(), 0

    def truth(self, truth: Tensor | None) -> Tensor | None:
        """The true images."""
        self.histories.append(ImageHistory(self.config.every))
        self._frames = Frames()
        return truth

    def note(self, event: Event) -> None:
        """Keep how near the images are, and some of them for the figure."""
        self.histories[-1].event(event, self.progress.psnr, self.progress.labels)
        if self.folder is not None:
            self._frames.event(event)

    def records(self, result: ImageResult) -> tuple[list[Any], Any]:
        """The records of an update's images, and of the update."""
        images = [one_record(image) for image in result.images]
        return images, update_record(result, self.histories[-1].rows)

    def scored(self, result: ImageResult) -> None:
        """Show what the update came to, and keep its pictures."""
        super().scored(result)
        if self.folder is not None:
            self.start_folder()
            keep_pictures(self.folder, result, self._frames, index=self.index, before=self._before)
        self._before += len(result.images)

    def record(self, audit: ImageAudit) -> ImageRunRecord:
        """The record of the whole run."""
        return image_record(self.header, audit, [history.rows for history in self.histories])


def conduct(
    output: Output,
    config: ImageRunConfig,
    header: RunHeader,
    audit: Callable[[Watcher], ImageAudit],
) -> int:
    """Run `audit` on images with everything watching it; see `Recording.conduct`."""
    return ImageRecording(output, config, header).conduct(audit)
