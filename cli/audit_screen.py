"""What the terminal shows of a grid: a live view of every run under way, or a line a finished run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from rich.console import Console, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from textleak.grid.conduct import GridWatcher
from textleak.grid.estimate import Costs, duration
from textleak.grid.plan import AnyRun
from textleak.report.live import clock_text
from textleak.report.live_console import LiveConsole
from textleak.report.screen import Mode
from textleak.report.terminal import escaped
from textleak.results.log import AnyGridRecord

BAR = 20  # columns of a bar


@dataclass
class GridProgress:
    """Where a grid stands.

    Attributes:
        runs: what is to be run.
        costs: what runs cost; learns from every finished one.
        workers: runs carried out at a time.
        clock: seconds, from anywhere.
        under_way: the start of every run under way, by key.
        failed: how many of the finished runs failed.
    """

    runs: list[AnyRun]
    costs: Costs
    workers: int = 1
    clock: Callable[[], float] = time.monotonic
    under_way: dict[str, tuple[AnyRun, float]] = field(default_factory=dict)
    failed: int = 0

    def __post_init__(self) -> None:
        """Nothing is finished yet."""
        self.started = self.clock()
        self._left = {run.key: run for run in self.runs}

    @property
    def finished(self) -> int:
        """How many runs are over."""
        return len(self.runs) - len(self._left)

    @property
    def seconds(self) -> float:
        """Since the start."""
        return self.clock() - self.started

    def begin(self, run: AnyRun) -> None:
        """A worker takes up `run`."""
        self.under_way[run.key] = (run, self.clock())

    def end(self, record: AnyGridRecord) -> None:
        """A run is over."""
        self.under_way.pop(record.key, None)
        self._left.pop(record.key, None)
        self.costs.add(record)
        self.failed += record.status == "failed"

    def left(self) -> str | None:
        """The time that the rest should take; None while nothing is known of it."""
        estimate = self.costs.estimate(self._left.values())
        if not estimate.seconds:
            return None
        # A run that takes longer than it should takes nothing off the others.
        spent = 0.0
        for run, start in self.under_way.values():
            expected, _ = self.costs.of(run)
            spent += min(self.clock() - start, expected or 0.0)
        return duration((estimate.seconds - spent) / self.workers)


def grid_view(progress: GridProgress) -> RenderableType:
    """The whole grid's bar, and one bar for every run under way."""
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(no_wrap=True, width=5)
    table.add_column(no_wrap=True, width=BAR)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    count = len(progress.runs)
    whole = Text(f"{progress.finished}/{count} runs, {clock_text(progress.seconds)}")
    left = progress.left()
    if left:
        whole.append(f", about {left} left", style="dim")
    if progress.failed:
        whole.append(f", {progress.failed} failed", style="yellow")
    table.add_row(
        Text("audit", "bold"),
        ProgressBar(total=count, completed=progress.finished, width=BAR),
        whole,
    )
    for run, start in progress.under_way.values():
        spent = progress.clock() - start
        expected, _ = progress.costs.of(run)
        bar = ProgressBar(
            total=expected or 1, completed=min(spent, expected) if expected else 0, width=BAR
        )
        table.add_row(Text(clock_text(spent).rjust(5), "dim"), bar, Text(run.cell.title, "dim"))
    return Group(table)


def record_line(record: AnyGridRecord, progress: GridProgress) -> str:
    """A finished run in one line."""
    head = f"[{progress.finished}/{len(progress.runs)}] {record.cell.title}: "
    if record.result is None:
        return f"{head}failed: {record.error}"
    verdict = f", {record.result.verdict}" if record.result.verdict else ""
    left = progress.left()
    tail = f"; about {left} left" if left else ""
    return f"{head}{record.result.score}{verdict}, {record.seconds:.1f} s{tail}"


class GridScreen(LiveConsole, GridWatcher):
    """Shows a grid's progress on a console.

    Args:
        console: where to show it.
        progress: the state to show.
        mode: `live` redraws, `plain` prints a line a finished run, `quiet` shows failures only.
    """

    def __init__(self, console: Console, progress: GridProgress, mode: Mode) -> None:
        super().__init__(console)
        self.progress = progress
        self.mode = mode

    def __enter__(self) -> GridScreen:
        """Start the live view."""
        if self.mode == "live":
            self.start(lambda: grid_view(self.progress))
        return self

    def begin(self, run: AnyRun) -> None:
        """A worker takes up `run`."""
        self.progress.begin(run)

    def finished(self, record: AnyGridRecord) -> None:
        """A run is over: say so where nothing is redrawn; a failure always stays on the screen."""
        self.progress.end(record)
        if self.mode == "plain" or record.status == "failed":
            line = escaped(record_line(record, self.progress))
            self.console.print(line, markup=False, highlight=False, soft_wrap=True)
