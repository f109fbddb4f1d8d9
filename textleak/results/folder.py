"""A run saved in a folder: config.json, events.jsonl, result.json, update.safetensors."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from textleak.core.errors import ConfigError, UpdateError
from textleak.core.events import Event, parse_event
from textleak.core.paths import is_file
from textleak.core.writing import Lines, check_folder, write_text, write_with
from textleak.metrics.sentence import SentenceFrame
from textleak.results.header import RunHeader
from textleak.results.pieces import Legend, Pieces
from textleak.results.record import ImageRunRecord, OutcomeRecord, RunRecord, json_text

if TYPE_CHECKING:
    from textleak.core.update import SharedUpdate

CONFIG, EVENTS, RESULT, UPDATE = "config.json", "events.jsonl", "result.json", "update.safetensors"
RECORDS: dict[str, type[OutcomeRecord]] = {"text": RunRecord, "image": ImageRunRecord}


class RunFolder:
    """Writes a run as it goes on; events line by line, everything else whole or not at all.

    Args:
        folder: a new or empty folder.

    Raises:
        ConfigError: the folder is not empty or cannot be written.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        check_folder(self.folder, CONFIG)
        self._events: Lines | None = None
        self._failure = ""
        self._legend: Legend | None = None

    def start(self, header: RunHeader, config: Mapping[str, Any], legend: Legend) -> None:
        """Write what the run assumes."""
        data = {"run": header.model_dump(mode="json"), "config": dict(config), **legend.head()}
        write_text(self.folder / CONFIG, json_text(data))
        self._events = Lines(self.folder / EVENTS)
        self._legend = legend

    @property
    def started(self) -> bool:
        """Whether the folder has been made."""
        return self._legend is not None

    def begin(self, index: int, update: SharedUpdate) -> None:
        """Keep the update; the second of several is `update-2.safetensors`, and so on."""
        name = UPDATE if index == 0 else f"update-{index + 1}.safetensors"
        try:
            update.save(self.folder / name)
        except UpdateError as error:  # the disk is full: no reason to lose the run
            self._failure = str(error)

    def event(self, event: Event) -> None:
        """Append one event."""
        assert self._events is not None, "start() comes first"
        assert self._legend is not None
        self._legend.event(event)
        self._events.append(event.model_dump_json())

    def keep(self, name: str, write: Callable[[Path], object]) -> None:
        """Keep one more file; where the disk is full the run goes on, and its end says so."""
        try:
            write_with(self.folder / name, write)
        except ConfigError as error:
            self._failure = str(error)

    def finish(self, record: OutcomeRecord) -> None:
        """Write the result, with what a replay needs of it.

        Raises:
            ConfigError: something of the run could not be written.
        """
        failure = self._failure or (self._events.failure if self._events else "")
        self.close()
        tail = {} if self._legend is None else self._legend.tail()
        data = json.loads(record.to_json()) | tail
        write_text(self.folder / RESULT, json_text(data))
        if failure:
            raise ConfigError(failure)

    def close(self) -> None:
        """Close the list of events."""
        if self._events is not None:
            self._events.close()
            self._events = None


class SavedRun:
    """A run read back from its folder; one that was cut short has no record.

    Args:
        folder: a folder that `--save` wrote.

    Raises:
        ConfigError: there is no saved run, or it cannot be read.
    """

    def __init__(self, folder: str | Path) -> None:
        path = self.folder = Path(folder)
        if not is_file(path / CONFIG) or not is_file(path / EVENTS):
            raise ConfigError(
                f"no saved run in {str(folder)!r}: expected {CONFIG} and {EVENTS}, as --save writes"
            )
        try:
            config = json.loads((path / CONFIG).read_text(encoding="utf-8"))
            self.header = RunHeader.model_validate(config["run"])
            frame = SentenceFrame(**config.get("frame", {"lead": 0, "trail": 0}))
            self.events = _events((path / EVENTS).read_text(encoding="utf-8"))
            self.every = int(config["config"]["every"])
            schema = RECORDS[self.header.modality]
            self.record, names = _result(path / RESULT, schema)
        except (OSError, ValueError, KeyError, TypeError) as error:
            what = str(error).splitlines()[0]
            raise ConfigError(f"cannot read the run in {str(folder)!r}: {what}") from error
        self.pieces = Pieces.saved(names, frame)

    def parts(self, index: int) -> list[Any]:
        """The scored sentences or images of update `index`; none where the run has no result of it."""
        if self.record is None or index >= len(self.record.updates):
            return []
        before = self.before(index)
        return list(self.record.parts[before : before + self.record.updates[index].size])

    def before(self, index: int) -> int:
        """How many sentences or images the updates before `index` have."""
        updates = () if self.record is None else self.record.updates
        return sum(update.size for update in updates[:index])

    def references(self, index: int) -> list[list[int]] | None:
        """The true ids of update `index`, without special tokens, where they are known."""
        ids = [s.reference_ids for s in self.parts(index) if s.reference_ids is not None]
        return ids or None


def _events(text: str) -> list[Event]:
    """The events; a last line that was cut short is left out."""
    lines = text.split("\n")
    events = [parse_event(line) for line in lines[:-1] if line]
    if lines[-1]:
        try:
            events.append(parse_event(lines[-1]))
        except ValidationError:
            return events
    return events


def _result(path: Path, schema: type[OutcomeRecord]) -> tuple[OutcomeRecord | None, dict[str, str]]:
    if not path.is_file():
        return None, {}
    data = json.loads(path.read_text(encoding="utf-8"))
    names = data.pop("pieces", {})
    return schema.model_validate(data), names
