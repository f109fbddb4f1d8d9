"""A saved run shown again from its events."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console

from textleak.core.events import Finished, Started
from textleak.report.final import outcome_view, summary_view
from textleak.report.progress import Progress
from textleak.report.screen import Mode, Screen
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
    progress = Progress(run.header, run.pieces)
    count = max(1, sum(isinstance(event, Started) for event in run.events))
    index, before = -1, 0.0
    with Screen(console, progress, mode, every) as screen:
        for event in run.events:
            if isinstance(event, Started):
                index, before = index + 1, 0.0
                screen.begin(index, count, run.references(index))
            if speed and mode != "quiet":
                sleep(max(0.0, event.seconds - before) / speed)
            before = event.seconds
            screen.event(event)
            if (
                isinstance(event, Finished)
                and run.record is not None
                and index < len(run.record.batches)
            ):
                view = outcome_view(
                    run.sequences(index),
                    run.record.batches[index],
                    run.pieces,
                    index=index,
                    count=count,
                    history=mode != "quiet",
                )
                screen.stop()
                console.print(view)
    if run.record is not None:
        console.print(summary_view(run.record))
    else:
        console.print("the run was cut short: it has no result")
