"""What the terminal shows while an image attack goes on."""

from __future__ import annotations

from rich.console import RenderableType

from textleak.report.screen import BaseScreen
from textleak.vision.report.live import live_view, plain_line
from textleak.vision.report.progress import ImageProgress


class ImageScreen(BaseScreen[ImageProgress]):
    """Shows the progress of a run on images."""

    def view(self) -> RenderableType:
        """Where the run stands."""
        return live_view(self.progress)

    def line(self) -> str:
        """The same in a line."""
        return plain_line(self.progress)
