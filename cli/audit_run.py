"""A grid as the command line conducts it: prepared, announced, run, and summed up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textleak.grid.conduct import Outstanding, conduct, outstanding
from textleak.grid.executors import Executor, build_executor
from textleak.grid.prepare import BasePrepared
from textleak.report.terminal import say
from textleak.results.grid_file import write_grid
from textleak.results.log import RESULTS, AnyGridRecord, ResultsFile, read_results

from .audit_screen import GridProgress, GridScreen
from .output import INTERRUPTED, SOME_FAILED, Output, complained

if TYPE_CHECKING:
    from .audit import GridOptions


@dataclass
class GridCommand:
    """A checked grid, and where and how it is to be run.

    Attributes:
        shown: the console.
        grid: the grid.
        folder: where its results are kept.
        retry_failed: whether failed runs are run again.
        executor: who carries out the runs.
        workers: how many at a time.
    """

    shown: Output
    grid: BasePrepared[Any, Any]
    folder: Path
    retry_failed: bool
    executor: Executor
    workers: int

    @classmethod
    def prepared(
        cls,
        shown: Output,
        grid: BasePrepared[Any, Any],
        workers: int,
        name: str,
        options: GridOptions,
    ) -> GridCommand:
        """A prepared grid of that name, with where and how it is to be run.

        Raises:
            ConfigError: no such executor.
        """
        folder = options.output or Path("audits") / Path(name).stem
        engine = build_executor(options.executor, workers, grid.threads, options.ray_address)
        return cls(shown, grid, folder, options.retry_failed, engine, workers)

    def preview(self) -> int:
        """Say what would be run and how long it should take; return the exit code."""
        there = (self.folder / RESULTS).exists()
        kept = read_results(self.folder, complained) if there else []
        self._announce(kept)
        return 0

    def run(self) -> int:
        """Run what is left, and return the exit code."""
        with ResultsFile(self.folder) as results:
            if results.repaired:
                self.shown.say("the last result was cut short by a kill: its run is run again")
            for line in results.complaints:
                complained(line)
            left = self._announce(results.records.values())
            write_grid(self.folder, self.grid.config, [run.key for run in self.grid.runs])
            progress = GridProgress(left.runs, self.grid.costs, self.workers)
            try:
                with GridScreen(self.shown.console, progress, self.shown.mode) as screen:
                    conduct(left.runs, results, self.executor, screen)
            except KeyboardInterrupt:
                done = f"{progress.finished} of {len(left.runs)} runs are done and kept"
                say(f"textleak: interrupted: {done}; the same command goes on", stderr=True)
                return INTERRUPTED
        failed = progress.failed + left.failed
        if failed:
            self.shown.say(f"failed: {failed}; --retry-failed runs them again")
        self.shown.say(f"results in {self.folder}; textleak report {self.folder}")
        return SOME_FAILED if failed else 0

    def _announce(self, kept: Iterable[AnyGridRecord]) -> Outstanding:
        """Say what there is, what is done of it, and how long the rest should take."""
        records = {record.key: record for record in kept}
        for record in records.values():
            self.grid.costs.add(record)
        left = outstanding(self.grid.runs, records, retry_failed=self.retry_failed)
        self.shown.say(self.grid.describe())
        if left.done:
            self.shown.say(f"{left.done} done before, {len(left.runs)} left")
        if left.failed:
            self.shown.say(f"{left.failed} failed before; --retry-failed runs them again")
        if left.foreign:
            self.shown.say(f"{left.foreign} results of another grid here are kept, not reported")
        self.shown.say(self.grid.costs.estimate(left.runs).describe(self.workers))
        return left
