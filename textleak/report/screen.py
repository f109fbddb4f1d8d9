"""What the terminal shows while a run goes on: a live view, plain lines, or nothing."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Generic, Literal, TypeVar

from rich.console import Console, RenderableType

from textleak.core.events import End, Event, Step
from textleak.report.live import header_view, live_view
from textleak.report.live_console import LiveConsole
from textleak.report.plain import plain_line
from textleak.report.progress import BaseProgress, Progress
from textleak.report.terminal import escaped

Mode = Literal["live", "plain", "quiet"]
ProgressT = TypeVar("ProgressT", bound=BaseProgress[Any])


class BaseScreen(LiveConsole, Generic[ProgressT]):
    """Shows a run's progress on a console; the run may still be refused until its first update.

    Args:
        console: where to show it.
        progress: the state to show.
        mode: `live` redraws, `plain` prints lines, `quiet` shows nothing.
        every: iterations between plain lines.
    """

    def __init__(self, console: Console, progress: ProgressT, mode: Mode, every: int = 10) -> None:
        super().__init__(console)
        self.progress = progress
        self.mode = mode
        self.every = every
        self._said: Step | None = None

    def begin(self, index: int, count: int, truth: Any) -> None:
        """Another update is about to be attacked; before the first, say what the run assumes."""
        if self.mode == "plain" and index == 0:
            self.console.print(header_view(self.progress.header))
        self.progress.begin(index, count, truth)
        if self.mode == "live":
            self.start(self.view, per_second=8)

    def event(self, event: Event) -> None:
        """The attack said something."""
        self.progress.event(event)
        if self.mode == "plain" and isinstance(event, Step | End):
            self._say(last=isinstance(event, End))

    def _say(self, last: bool) -> None:
        now = self.progress.latest
        if now is None or now is self._said:
            return
        if last or now.iteration % self.every == 0:
            self._said = now
            self.console.print(escaped(self.line()), markup=False, highlight=False, soft_wrap=True)

    @abstractmethod
    def view(self) -> RenderableType:
        """Where the run stands."""

    @abstractmethod
    def line(self) -> str:
        """The same in a line."""


class Screen(BaseScreen[Progress]):
    """Shows the progress of a run on text."""

    def view(self) -> RenderableType:
        """Where the run stands."""
        return live_view(self.progress)

    def line(self) -> str:
        """The same in a line."""
        return plain_line(self.progress)
