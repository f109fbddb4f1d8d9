"""What the terminal shows while a run goes on: a live view, plain lines, or nothing."""

from __future__ import annotations

from typing import Literal

from rich.console import Console

from textleak.core.events import Event, Finished, Iteration
from textleak.report.live import header_view, live_view
from textleak.report.live_console import LiveConsole
from textleak.report.plain import plain_line
from textleak.report.progress import Progress
from textleak.report.terminal import escaped

Mode = Literal["live", "plain", "quiet"]


class Screen(LiveConsole):
    """Shows a run's progress on a console; the run may still be refused until its first update.

    Args:
        console: where to show it.
        progress: the state to show.
        mode: `live` redraws, `plain` prints lines, `quiet` shows nothing.
        every: iterations between plain lines.
    """

    def __init__(self, console: Console, progress: Progress, mode: Mode, every: int = 10) -> None:
        super().__init__(console)
        self.progress = progress
        self.mode = mode
        self.every = every
        self._said: Iteration | None = None

    def begin(self, index: int, count: int, references: list[list[int]] | None) -> None:
        """Another update is about to be attacked; before the first, say what the run assumes."""
        if self.mode == "plain" and index == 0:
            self.console.print(header_view(self.progress.header))
        self.progress.begin(index, count, references)
        if self.mode == "live":
            self.start(lambda: live_view(self.progress), per_second=8)

    def event(self, event: Event) -> None:
        """The attack said something."""
        self.progress.event(event)
        if self.mode == "plain" and isinstance(event, Iteration | Finished):
            self._say(last=isinstance(event, Finished))

    def _say(self, last: bool) -> None:
        now = self.progress.latest
        if now is None or now is self._said:
            return
        if last or now.iteration % self.every == 0:
            self._said = now
            self.console.print(
                escaped(plain_line(self.progress)), markup=False, highlight=False, soft_wrap=True
            )
