"""A run as the command line conducts it: shown while it goes on, kept, and written at its end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from textleak.audit import Audit, BatchResult, Watcher
from textleak.audit.record import batch_record, run_record, sequence_record
from textleak.audit.result import BaseAudit
from textleak.core.config import RunConfig
from textleak.core.events import Event, Iteration, Started
from textleak.core.image_config import ImageRunConfig
from textleak.core.update import SharedUpdate
from textleak.report.views import TextViews, Views
from textleak.results.folder import RunFolder
from textleak.results.header import RunHeader
from textleak.results.history import History
from textleak.results.pieces import Legend, Pieces
from textleak.results.record import OutcomeRecord, RunRecord

from .output import INTERRUPTED, SOME_FAILED, Output

ResultT = TypeVar("ResultT")
AuditT = TypeVar("AuditT", bound=BaseAudit[Any])


class Recording(Watcher, ABC, Generic[ResultT, AuditT]):
    """Passes every step of an audit on to the screen, the history and the saved folder.

    Args:
        output: where the run is shown and written.
        config: the run's configuration.
        header: what it assumes.
        views: how it is shown.
        legend: what its folder keeps for a replay.
    """

    def __init__(
        self,
        output: Output,
        config: RunConfig | ImageRunConfig,
        header: RunHeader,
        views: Views[Any, Any, Any],
        legend: Legend,
    ) -> None:
        self.output, self.config, self.header = output, config, header
        self.views, self.legend = views, legend
        self.screen = views.screen
        self.folder = None if output.save is None else RunFolder(output.save)
        self.index = -1
        self._count = 1
        self._unheard = 0  # updates before this one of which the folder holds no event
        self._heard = True

    @abstractmethod
    def truth(self, truth: Any) -> Any:
        """The truth as the progress takes it."""

    @abstractmethod
    def note(self, event: Event) -> None:
        """Keep what the history needs of an event that the screen has heard."""

    @abstractmethod
    def records(self, result: ResultT) -> tuple[list[Any], Any]:
        """The records of an update's sentences or images, and of the update."""

    @abstractmethod
    def record(self, audit: AuditT) -> OutcomeRecord:
        """The record of the whole run."""

    def start_folder(self) -> None:
        """Make the saved run's folder, once it is clear that there is a run."""
        if self.folder is not None and not self.folder.started:
            self.folder.start(self.header, self.config.model_dump(mode="json"), self.legend)

    def begin(self, index: int, count: int, update: SharedUpdate | None, truth: Any) -> None:
        """Another update is about to be attacked."""
        self.index, self._count, self._heard = index, count, False
        if update is not None:
            self.start_folder()
            if self.folder is not None:
                self.folder.begin(index, update)
        self.screen.begin(index, count, self.truth(truth))

    def event(self, event: Event) -> None:
        """The attack said something."""
        self._heard = True
        self._catch_up()
        if self.folder is not None:
            self.folder.event(event)
        self.screen.event(event)
        self.note(event)

    def scored(self, result: ResultT) -> None:
        """The update has been attacked and scored: show what it came to."""
        self._unheard += not self._heard
        parts, update = self.records(result)
        view = self.views.outcome(parts, update, index=self.index, count=self._count)
        self.screen.stop()
        self.output.console.print(view)

    def finish(self, record: OutcomeRecord) -> None:
        """Complete the saved run."""
        self.start_folder()
        self._catch_up()
        if self.folder is not None:
            self.folder.finish(record)

    def _catch_up(self) -> None:
        """Let every update have a start in the folder, by which a replay counts them."""
        if self.folder is not None:
            for _ in range(self._unheard):
                self.folder.event(Started(attack=self.header.attack))
        self._unheard = 0

    def conduct(self, audit: Callable[[Watcher], AuditT]) -> int:
        """Run `audit` with everything watching it, write what was asked for, return the exit code."""
        try:
            with self.screen:
                outcome = audit(self)
            record = self.record(outcome)
            self.output.deliver(
                record.to_json(), [self.views.summary(record)], lambda: self.finish(record)
            )
            if outcome.interrupted:
                return INTERRUPTED
            return SOME_FAILED if outcome.failures else 0
        finally:
            if self.folder is not None:
                self.folder.close()


class TextRecording(Recording[BatchResult, Audit]):
    """The recording of a run on text."""

    def __init__(
        self, output: Output, config: RunConfig, header: RunHeader, pieces: Pieces
    ) -> None:
        views = TextViews(header, pieces, output.console, output.mode, config.every)
        super().__init__(output, config, header, views, pieces)
        self.pieces, self.progress = pieces, views.screen.progress
        self.histories: list[History] = []

    def truth(self, truth: list[list[int]] | None) -> list[list[int]] | None:
        """The true ids without special tokens."""
        self.histories.append(History(self.config.every))
        return None if truth is None else [self.pieces.frame.inner(ids) for ids in truth]

    def note(self, event: Event) -> None:
        """Keep the texts of an iteration, with how many tokens are right."""
        match = self.progress.token_match() if isinstance(event, Iteration) else None
        self.histories[-1].event(event, match)

    def records(self, result: BatchResult) -> tuple[list[Any], Any]:
        """The records of an update's sentences, and of the update."""
        sequences = [sequence_record(sequence) for sequence in result.sequences]
        return sequences, batch_record(result, self.histories[-1].rows)

    def record(self, audit: Audit) -> RunRecord:
        """The record of the whole run."""
        return run_record(self.header, audit, [history.rows for history in self.histories])


def conduct(
    output: Output,
    config: RunConfig,
    header: RunHeader,
    pieces: Pieces,
    audit: Callable[[Watcher], Audit],
) -> int:
    """Run `audit` on text with everything watching it; see `Recording.conduct`."""
    return TextRecording(output, config, header, pieces).conduct(audit)
