"""A saved run shown again from its events."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console

from textleak.core.events import End, Started
from textleak.report.screen import Mode
from textleak.report.views import VIEWS
from textleak.results.folder import SavedRun


def show_again(
    run: SavedRun,
    console: Console,
    mode: Mode,
    every: int,
    speed: float,
    sleep: Callable[[float], None],
) -> None:
    """Show the run's views in the order and, times `speed`, the pace of its events.

    Args:
        run: the saved run.
        console: where it is shown.
        mode: live, plain or quiet.
        every: iterations between plain lines.
        speed: 2 is twice as fast; 0 does not wait.
        sleep: waits for that many seconds.
    """
    views = VIEWS.load(run.header.modality).of(run, console, mode, every)
    count = max(1, sum(isinstance(event, Started) for event in run.events))
    index, before = -1, 0.0
    with views.screen as screen:
        for event in run.events:
            if isinstance(event, Started):
                index, before = index + 1, 0.0
                screen.begin(index, count, views.known(run, index))
            if speed and mode != "quiet":
                sleep(max(0.0, event.seconds - before) / speed)
            before = event.seconds
            screen.event(event)
            updates = () if run.record is None else run.record.updates
            if isinstance(event, End) and index < len(updates):
                view = views.outcome(run.parts(index), updates[index], index=index, count=count)
                screen.stop()
                console.print(view)
    if run.record is not None:
        console.print(views.summary(run.record))
    else:
        console.print("the run was cut short: it has no result")
