"""A grid from its configuration to its results: what is left to do, done, and written down."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from textleak.core.errors import ConfigError
from textleak.core.paths import is_file
from textleak.core.writing import write_text
from textleak.grid.config import GridConfig
from textleak.grid.executors import Executor, Observer
from textleak.grid.plan import GridRun
from textleak.results.header import versions
from textleak.results.log import GridRecord, ResultsFile
from textleak.results.record import json_text

GRID = "grid.json"


class GridWatcher(Observer):
    """Told of every step of a grid; screens override what they need."""

    def begin(self, run: GridRun) -> None:
        """A worker takes up `run`."""

    def finished(self, record: GridRecord) -> None:
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

    runs: list[GridRun]
    done: int
    failed: int
    foreign: int


def outstanding(
    runs: Sequence[GridRun], records: dict[str, GridRecord], *, retry_failed: bool = False
) -> Outstanding:
    """Which of `runs` have no result yet; with `retry_failed`, those that failed too."""
    status = Counter(records[run.key].status for run in runs if run.key in records)
    left = [
        run
        for run in runs
        if run.key not in records or (retry_failed and records[run.key].status == "failed")
    ]
    foreign = len(records.keys() - {run.key for run in runs})
    return Outstanding(left, status["done"], 0 if retry_failed else status["failed"], foreign)


def conduct(
    runs: Sequence[GridRun], results: ResultsFile, executor: Executor, watcher: GridWatcher
) -> Counter[str]:
    """Carry out `runs`, each appended to `results` as soon as it is over; count how they ended."""
    ended: Counter[str] = Counter()
    with closing(cast(Any, executor.run(runs, watcher))) as records:
        for record in records:
            results.append(record)
            watcher.finished(record)
            ended[record.status] += 1
    return ended


def write_grid(folder: str | Path, config: GridConfig, runs: Sequence[GridRun]) -> None:
    """Note in `folder` which grid its results are of: the report shows these runs."""
    data = {
        "schema": 1,
        "config": config.model_dump(mode="json"),
        "versions": versions(),
        "keys": [run.key for run in runs],
    }
    write_text(Path(folder) / GRID, json_text(data))


def read_grid(folder: str | Path) -> tuple[GridConfig, list[str]]:
    """The grid that the results in `folder` are of, and the keys of its runs.

    Raises:
        ConfigError: there is none, or it cannot be read.
    """
    path = Path(folder) / GRID
    if not is_file(path):
        raise ConfigError(f"no audit in {str(folder)!r}: expected {GRID}, as textleak audit writes")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return GridConfig.model_validate(data["config"]), list(data["keys"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = str(error).splitlines()[0]
        raise ConfigError(f"cannot read {str(path)!r}: {what}") from error
