"""A grid from its configuration to its results: what is left to do, done, and written down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, cast

from textleak.grid.executors import Executor, Observer
from textleak.grid.plan import AnyRun
from textleak.results.log import AnyGridRecord, ResultsFile


class GridWatcher(Observer):
    """Told of every step of a grid; screens override what they need."""

    def begin(self, run: AnyRun) -> None:
        """A worker takes up `run`."""

    def finished(self, record: AnyGridRecord) -> None:
        """A run is over and its record is on the disk."""


@dataclass(frozen=True)
class Outstanding:
    """What is left of a grid.

    Attributes:
        runs: those to run now, in the order of the grid.
        done: how many are done already.
        failed: how many failed before and are left alone.
        foreign: results in the folder that belong to no run of this grid.
    """

    runs: list[AnyRun]
    done: int
    failed: int
    foreign: int


def outstanding(
    runs: Sequence[AnyRun], records: dict[str, AnyGridRecord], *, retry_failed: bool = False
) -> Outstanding:
    """Which of `runs` have no result yet, or one cut short by another budget than they have now.

    With `retry_failed`, those that failed too.
    """
    kept = [run for run in runs if run.key in records and not _cut_short(run, records[run.key])]
    status = Counter(records[run.key].status for run in kept)
    settled = {
        run.key for run in kept if not (retry_failed and records[run.key].status == "failed")
    }
    left = [run for run in runs if run.key not in settled]
    foreign = len(records.keys() - {run.key for run in runs})
    return Outstanding(left, status["done"], 0 if retry_failed else status["failed"], foreign)


def _cut_short(run: AnyRun, record: AnyGridRecord) -> bool:
    """Whether `record` was stopped by another budget than that of `run`."""
    stopped = record.result is not None and record.result.stopped == "budget"
    return stopped and record.config.budget != run.config.budget


def conduct(
    runs: Sequence[AnyRun], results: ResultsFile, executor: Executor, watcher: GridWatcher
) -> Counter[str]:
    """Carry out `runs`, each appended to `results` as soon as it is over; count how they ended."""
    ended: Counter[str] = Counter()
    with closing(cast(Any, executor.run(runs, watcher))) as records:
        for record in records:
            results.append(record)
            watcher.finished(record)
            ended[record.status] += 1
    return ended
