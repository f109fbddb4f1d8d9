"""What the terminal shows while an image attack goes on: a live view, plain lines, or nothing."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.live import Live

from textleak.report.live import header_view
from textleak.report.screen import Mode
from textleak.vision.events import ImageEvent, ImageFinished, ImageIteration
from textleak.vision.report.progress import ImageProgress
from textleak.vision.report.views import live_view, plain_line


class ImageScreen:
    """Shows a run's progress on a console; a context, so that the terminal is always put right.

    Args:
        console: where to show it.
        progress: the state to show.
        mode: `live` redraws, `plain` prints lines, `quiet` shows nothing.
        every: iterations between plain lines.
    """

    def __init__(
        self, console: Console, progress: ImageProgress, mode: Mode, every: int = 10
    ) -> None:
        self.console = console
        self.progress = progress
        self.mode = mode
        self.every = every
        self._live: Live | None = None
        self._said: ImageIteration | None = None

    def __enter__(self) -> ImageScreen:
        """Say first what the run assumes."""
        if self.mode == "plain":
            self.console.print(header_view(self.progress.header))
        elif self.mode == "live":
            self._live = Live(
                get_renderable=lambda: live_view(self.progress),
                console=self.console,
                refresh_per_second=4,
                transient=True,
            )
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave the terminal as it was."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def event(self, event: ImageEvent) -> None:
        """The attack said something."""
        self.progress.event(event)
        now = self.progress.latest
        if self.mode != "plain" or now is None or now is self._said:
            return
        if isinstance(event, ImageFinished) or now.iteration % self.every == 0:
            self._said = now
            self.console.print(
                plain_line(self.progress), markup=False, highlight=False, soft_wrap=True
            )
