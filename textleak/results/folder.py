"""A run saved in a folder: config.json, events.jsonl, result.json, update.safetensors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from textleak.core.errors import ConfigError, UpdateError
from textleak.core.events import Event, Iteration, parse_event
from textleak.core.paths import is_file
from textleak.core.writing import Lines, check_folder, write_text
from textleak.metrics.sentence import SentenceFrame
from textleak.results.header import RunHeader
from textleak.results.pieces import Pieces
from textleak.results.record import RunRecord, SequenceRecord, json_text

if TYPE_CHECKING:
    from textleak.core.update import SharedUpdate

CONFIG, EVENTS, RESULT, UPDATE = "config.json", "events.jsonl", "result.json", "update.safetensors"


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
        self._pieces: Pieces | None = None

    def start(self, header: RunHeader, config: Mapping[str, Any], pieces: Pieces) -> None:
        """Write what the run assumes."""
        frame = {"lead": pieces.frame.lead, "trail": pieces.frame.trail}
        data = {"run": header.model_dump(mode="json"), "config": dict(config), "frame": frame}
        write_text(self.folder / CONFIG, json_text(data))
        self._events = Lines(self.folder / EVENTS)
        self._pieces = pieces

    @property
    def started(self) -> bool:
        """Whether the folder has been made."""
        return self._pieces is not None

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
        assert self._pieces is not None
        if isinstance(event, Iteration):
            for ids in event.token_ids:
                self._pieces(ids)
        self._events.append(event.model_dump_json())

    def finish(self, record: RunRecord, pieces: Pieces) -> None:
        """Write the result, with the names of all token ids seen, for replays.

        Raises:
            ConfigError: something of the run could not be written.
        """
        failure = self._failure or (self._events.failure if self._events else "")
        self.close()
        data = json.loads(record.to_json())
        data["pieces"] = {str(token): name for token, name in sorted(pieces.seen.items())}
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
        path = Path(folder)
        if not is_file(path / CONFIG) or not is_file(path / EVENTS):
            raise ConfigError(
                f"no saved run in {str(folder)!r}: expected {CONFIG} and {EVENTS}, as --save writes"
            )
        try:
            config = json.loads((path / CONFIG).read_text(encoding="utf-8"))
            self.header = RunHeader.model_validate(config["run"])
            if self.header.task == "image":
                raise ConfigError(
                    f"{str(folder)!r} keeps a run on pictures: its figure.png shows it again"
                )
            frame = SentenceFrame(**config["frame"])
            self.events = _events((path / EVENTS).read_text(encoding="utf-8"))
            self.every = int(config["config"]["every"])
            self.record, names = _result(path / RESULT)
        except (OSError, ValueError, KeyError, TypeError) as error:
            what = str(error).splitlines()[0]
            raise ConfigError(f"cannot read the run in {str(folder)!r}: {what}") from error
        self.pieces = Pieces.saved(names, frame)

    def sequences(self, index: int) -> list[SequenceRecord]:
        """The scored sentences of update `index`; none where the run has no result of it."""
        if self.record is None or index >= len(self.record.batches):
            return []
        before = sum(batch.size for batch in self.record.batches[:index])
        return self.record.sequences[before : before + self.record.batches[index].size]

    def references(self, index: int) -> list[list[int]] | None:
        """The true ids of update `index`, without special tokens, where they are known."""
        ids = [s.reference_ids for s in self.sequences(index) if s.reference_ids is not None]
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


def _result(path: Path) -> tuple[RunRecord | None, dict[str, str]]:
    if not path.is_file():
        return None, {}
    data = json.loads(path.read_text(encoding="utf-8"))
    names = data.pop("pieces", {})
    return RunRecord.model_validate(data), names
