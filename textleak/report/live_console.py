"""A view that is redrawn while work goes on, and always taken off the screen again."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console, RenderableType
from rich.live import Live

from textleak.report.terminal import Escaped

if TYPE_CHECKING:
    from typing_extensions import Self


class LiveConsole:
    """What every screen shares; a context, so that the terminal is always put right.

    Args:
        console: where to show it.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._live: Live | None = None

    def __enter__(self) -> Self:
        """Nothing is shown yet."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave the terminal as it was."""
        self.stop()

    def start(self, view: Callable[[], RenderableType], per_second: int = 4) -> None:
        """Draw what `view` gives, again and again."""
        self._live = Live(
            get_renderable=lambda: Escaped(view()),
            console=self.console,
            refresh_per_second=per_second,
            transient=True,
        )
        self._live.start()

    def stop(self) -> None:
        """Take the view off the screen, to make room for a result."""
        if self._live is not None:
            self._live.stop()
            self._live = None
