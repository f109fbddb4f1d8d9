"""A run as the command line conducts it: shown while it goes on, kept, and written at its end."""

from __future__ import annotations

from collections.abc import Callable

from textleak.audit import Audit, BatchResult, Watcher
from textleak.audit.record import batch_record, run_record, sequence_record
from textleak.core.config import RunConfig
from textleak.core.events import Event, Iteration, Started
from textleak.core.update import SharedUpdate
from textleak.report.final import outcome_view, summary_view
from textleak.report.progress import Progress
from textleak.report.screen import Screen
from textleak.results.folder import RunFolder
from textleak.results.header import RunHeader
from textleak.results.history import History
from textleak.results.pieces import Pieces
from textleak.results.record import RunRecord

from .output import INTERRUPTED, SOME_FAILED, Output


class Recording(Watcher):
    """Passes every step of an audit on to the screen, the history and the saved folder.

    Args:
        output: where the run is shown and written.
        config: the run's configuration.
        header: what it assumes.
        pieces: names of token ids.
    """

    def __init__(
        self, output: Output, config: RunConfig, header: RunHeader, pieces: Pieces
    ) -> None:
        self.output = output
        self.config = config
        self.header = header
        self.pieces = pieces
        self.screen = Screen(output.console, Progress(header, pieces), output.mode, config.every)
        self.folder = None if output.save is None else RunFolder(output.save)
        self.histories: list[History] = []
        self._count = 1
        self._unheard = 0  # updates before this one of which the folder holds no event
        self._heard = True

    def start_folder(self) -> None:
        """Make the saved run's folder, once it is clear that there is a run."""
        if self.folder is not None and not self.folder.started:
            self.folder.start(self.header, self.config.model_dump(mode="json"), self.pieces)

    def begin(
        self,
        index: int,
        count: int,
        update: SharedUpdate | None,
        references: list[list[int]] | None,
    ) -> None:
        """Another update is about to be attacked."""
        self._count = count
        self.histories.append(History(self.config.every))
        self._heard = False
        if update is not None:
            self.start_folder()
            if self.folder is not None:
                self.folder.begin(index, update)
        truth = None
        if references is not None:
            truth = [self.pieces.frame.inner(ids) for ids in references]
        self.screen.begin(index, count, truth)

    def event(self, event: Event) -> None:
        """The attack said something."""
        self._heard = True
        self._catch_up()
        if self.folder is not None:
            self.folder.event(event)
        self.screen.event(event)
        match = self.screen.progress.token_match() if isinstance(event, Iteration) else None
        self.histories[-1].event(event, match)

    def scored(self, result: BatchResult) -> None:
        """The update has been attacked and scored: show its sentences."""
        self._unheard += not self._heard
        sequences = [sequence_record(s) for s in result.sequences]
        view = outcome_view(
            sequences,
            batch_record(result, self.histories[-1].rows),
            self.pieces,
            index=len(self.histories) - 1,
            count=self._count,
            history=self.screen.mode != "quiet",
        )
        self.screen.stop()
        self.output.console.print(view)

    def finish(self, record: RunRecord) -> None:
        """Complete the saved run."""
        self.start_folder()
        self._catch_up()
        if self.folder is not None:
            self.folder.finish(record, self.pieces)

    def _catch_up(self) -> None:
        """Let every update have a start in the folder, by which a replay counts them."""
        if self.folder is not None:
            for _ in range(self._unheard):
                self.folder.event(Started(attack=self.header.attack))
        self._unheard = 0


def conduct(
    output: Output,
    config: RunConfig,
    header: RunHeader,
    pieces: Pieces,
    audit: Callable[[Watcher], Audit],
) -> int:
    """Run `audit` with everything watching it, write what was asked for, return the exit code."""
    recording = Recording(output, config, header, pieces)
    try:
        with recording.screen:
            outcome = audit(recording)
        record = run_record(header, outcome, [history.rows for history in recording.histories])
        output.deliver(record.to_json(), [summary_view(record)], lambda: recording.finish(record))
        if outcome.interrupted:
            return INTERRUPTED
        return SOME_FAILED if outcome.failures else 0
    finally:
        if recording.folder is not None:
            recording.folder.close()
