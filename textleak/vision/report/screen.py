"""What the terminal shows while an image attack goes on: a live view, plain lines, or nothing."""

from __future__ import annotations

from rich.console import Console

from textleak.core.events import Event, ImageFinished, ImageIteration
from textleak.report.live import header_view
from textleak.report.live_console import LiveConsole
from textleak.report.screen import Mode
from textleak.report.terminal import escaped
from textleak.vision.report.progress import ImageProgress
from textleak.vision.report.views import live_view, plain_line


class ImageScreen(LiveConsole):
    """Shows a run's progress on a console.

    Args:
        console: where to show it.
        progress: the state to show.
        mode: `live` redraws, `plain` prints lines, `quiet` shows nothing.
        every: iterations between plain lines.
    """

    def __init__(
        self, console: Console, progress: ImageProgress, mode: Mode, every: int = 10
    ) -> None:
        super().__init__(console)
        self.progress = progress
        self.mode = mode
        self.every = every
        self._said: ImageIteration | None = None

    def __enter__(self) -> ImageScreen:
        """Say first what the run assumes."""
        if self.mode == "plain":
            self.console.print(header_view(self.progress.header))
        elif self.mode == "live":
            self.start(lambda: live_view(self.progress))
        return self

    def event(self, event: Event) -> None:
        """The attack said something."""
        self.progress.event(event)
        now = self.progress.latest
        if self.mode != "plain" or now is None or now is self._said:
            return
        if isinstance(event, ImageFinished) or now.iteration % self.every == 0:
            self._said = now
            self.console.print(
                escaped(plain_line(self.progress)), markup=False, highlight=False, soft_wrap=True
            )
