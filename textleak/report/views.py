"""How a run is shown from its first update to its end, whatever it is of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from rich.console import Console, RenderableType

from textleak.core.registry import Registry
from textleak.report.final import outcome_view, summary_view
from textleak.report.progress import Progress
from textleak.report.screen import BaseScreen, Mode, Screen
from textleak.results.folder import SavedRun
from textleak.results.header import RunHeader
from textleak.results.pieces import Pieces
from textleak.results.record import BatchRecord, RunRecord, SequenceRecord

PartT = TypeVar("PartT")
UpdateT = TypeVar("UpdateT")
RecordT = TypeVar("RecordT")


class Views(ABC, Generic[PartT, UpdateT, RecordT]):
    """The views of one run.

    Attributes:
        screen: shows where it stands.
    """

    screen: BaseScreen[Any]

    @classmethod
    @abstractmethod
    def of(cls, run: SavedRun, console: Console, mode: Mode, every: int) -> Views[Any, Any, Any]:
        """The views of a saved run."""

    @abstractmethod
    def known(self, run: SavedRun, index: int) -> Any:
        """The truth behind update `index` of a saved run as its progress takes it; None if not kept."""

    @abstractmethod
    def outcome(
        self, parts: Sequence[PartT], update: UpdateT, *, index: int, count: int
    ) -> RenderableType:
        """What update `index` of `count` came to."""

    @abstractmethod
    def summary(self, record: RecordT) -> RenderableType:
        """What the run comes to."""


class TextViews(Views[SequenceRecord, BatchRecord, RunRecord]):
    """The views of a run on text."""

    def __init__(
        self, header: RunHeader, pieces: Pieces, console: Console, mode: Mode, every: int
    ) -> None:
        self.pieces = pieces
        self.screen: Screen = Screen(console, Progress(header, pieces), mode, every)

    @classmethod
    def of(cls, run: SavedRun, console: Console, mode: Mode, every: int) -> TextViews:
        """The views of a saved run."""
        return cls(run.header, run.pieces, console, mode, every)

    def known(self, run: SavedRun, index: int) -> list[list[int]] | None:
        """The true ids of update `index`, without special tokens."""
        return run.references(index)

    def outcome(
        self, parts: Sequence[SequenceRecord], update: BatchRecord, *, index: int, count: int
    ) -> RenderableType:
        """The sentences of update `index` of `count`, a single update's with their history."""
        history = self.screen.mode != "quiet"
        return outcome_view(
            list(parts), update, self.pieces, index=index, count=count, history=history
        )

    def summary(self, record: RunRecord) -> RenderableType:
        """Rates, verification, cost, assumptions, notes and warnings."""
        return summary_view(record)


VIEWS: Registry[type[Views[Any, Any, Any]]] = Registry(
    "modality",
    {"text": "textleak.report.views:TextViews", "image": "textleak.vision.report.views:ImageViews"},
)
