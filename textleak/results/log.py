"""`results.jsonl`: one finished run a line, appended so that no kill loses or repeats one."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, TypeAlias, TypeVar, cast

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from textleak.core.config import RunConfig
from textleak.core.errors import ConfigError
from textleak.core.image_config import ImageRunConfig
from textleak.core.paths import is_file
from textleak.core.run_options import RunOptions
from textleak.core.task_names import TASKS, TEXT_TASKS
from textleak.core.validation import problem
from textleak.core.writing import write_bytes
from textleak.results.cell import Cell
from textleak.results.record import ImageRunRecord, OutcomeRecord, RunRecord

RESULTS, ASIDE, LOCK = "results.jsonl", "results.set-aside.jsonl", ".lock"
ConfigT = TypeVar("ConfigT", bound=RunOptions)
ResultT = TypeVar("ResultT", bound=OutcomeRecord)
_TIMINGS = ("seconds", "seconds_per_evaluation")


class BaseGridRecord(BaseModel, Generic[ConfigT, ResultT]):
    """One finished run of a grid, whatever it is of.

    Attributes:
        key: the digest of everything that the run depends on.
        status: `done`, or `failed` with its `error`.
        cell: its place in the grid.
        config: its full configuration; `textleak attack` or `vision attack` can repeat it.
        result: what came of it.
        pieces: the word pieces of the token ids in the result, by id.
        fingerprint: a digest of the model's weights.
        error: what went wrong, in one line.
        seconds: wall-clock time of the run, loading of the model left out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = Field(default=1, alias="schema")
    key: str
    status: Literal["done", "failed"]
    cell: Cell
    config: ConfigT
    result: ResultT | None = None
    pieces: dict[str, str] = {}
    fingerprint: str = ""
    error: str | None = None
    seconds: float = 0.0

    def to_line(self) -> str:
        """One line of JSON."""
        return self.model_dump_json(by_alias=True) + "\n"

    def without_timings(self) -> dict[str, Any]:
        """What must be the same whenever and wherever the run is carried out."""
        return cast(dict[str, Any], _untimed(self.model_dump(mode="json")))


class GridRecord(BaseGridRecord[RunConfig, RunRecord]):
    """One finished run on text; its configuration holds the texts."""


class ImageGridRecord(BaseGridRecord[ImageRunConfig, ImageRunRecord]):
    """One finished run on images; its configuration says where they are."""


AnyGridRecord: TypeAlias = BaseGridRecord[Any, Any]
RecordT = TypeVar("RecordT", bound=AnyGridRecord)
GRID_RECORDS: dict[str, type[AnyGridRecord]] = {"text": GridRecord, "image": ImageGridRecord}


def _untimed(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _untimed(v) for k, v in value.items() if k not in _TIMINGS}
    return [_untimed(entry) for entry in value] if isinstance(value, list) else value


def read_results(folder: str | Path, complain: Callable[[str], object] | None = None) -> list[Any]:
    """The last record of every key in `folder`, in the order in which the keys first came.

    Args:
        folder: where `results.jsonl` is.
        complain: told, in a line for people, of each line of the file that is no result.

    Returns:
        Records of runs on text or on images, whichever the folder holds.

    Raises:
        ConfigError: there are none.
    """
    path = Path(folder) / RESULTS
    if not is_file(path):
        raise ConfigError(
            f"no audit in {str(folder)!r}: expected {RESULTS}, as textleak audit writes"
        )
    whole, _ = _whole_lines(path)
    found = _parsed(path, whole)
    if complain is not None:
        for line in found.complaints:
            complain(line)
    return list(found.records.values())


def _whole_lines(path: Path) -> tuple[bytes, int]:
    """The file up to its last line's end, and how many bytes of a torn line follow it."""
    data = path.read_bytes()
    end = data.rfind(b"\n") + 1
    return data[:end], len(data) - end


@dataclass
class _Parsed:
    """A file's lines: those that are results, those that are none, and what is said of these."""

    records: dict[str, Any] = field(default_factory=dict)
    good: list[bytes] = field(default_factory=list)
    bad: list[bytes] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


def _parsed(path: Path, data: bytes) -> _Parsed:
    found = _Parsed()
    for number, line in enumerate(data.split(b"\n")[:-1], 1):
        schema = _schema_of(line)
        try:
            record = schema.model_validate_json(line)
        except ValidationError as error:
            what = problem(error, schema)[1]
            found.bad.append(line)
            found.complaints.append(
                f"{path}:{number}: not a result of textleak audit, set aside: {what}"
            )
            continue
        found.records[record.key] = record
        found.good.append(line)
    return found


def _schema_of(line: bytes) -> type[AnyGridRecord]:
    """What a line should be: a run on images has that task in its cell."""
    try:
        task = json.loads(line)["cell"]["task"]
    except (ValueError, KeyError, TypeError):
        return GridRecord
    return ImageGridRecord if task in TASKS and task not in TEXT_TASKS else GridRecord


class ResultsFile:
    """The results of one folder, open for one writer.

    A kill can tear the last line at most; it is cut off when the file is opened again, and its run
    is run again. A line that something else broke is moved to `results.set-aside.jsonl`, and its run is
    run again, too.

    Args:
        folder: where `results.jsonl` is or will be; it is made if it is not there.

    Attributes:
        records: the last record of every key.
        repaired: whether a torn line was cut off.
        complaints: what is to be said of lines that were set aside.

    Raises:
        ConfigError: another audit writes to the folder, or it cannot be written or read.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.path = self.folder / RESULTS
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(self.folder / LOCK, timeout=0)
            self._lock.acquire()
        except Timeout as error:
            raise ConfigError(f"another audit is writing to {str(folder)!r}") from error
        except OSError as error:
            what = error.strerror or error
            raise ConfigError(f"cannot write to the folder {str(folder)!r}: {what}") from error
        try:
            self.records, self.complaints, self.repaired = self._open()
        except BaseException:
            self._lock.release()
            raise

    def _open(self) -> tuple[dict[str, Any], list[str], bool]:
        new = not self.path.exists()
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        whole, torn = _whole_lines(self.path)
        found = _parsed(self.path, whole)
        if found.bad:
            os.close(self._file)
            _set_aside(self.path, found)
            self._file = os.open(self.path, os.O_RDWR | os.O_APPEND)
        elif torn:
            os.ftruncate(self._file, len(whole))
        os.fsync(self._file)
        if new or found.bad:
            _sync_folder(self.folder)
        return found.records, found.complaints, bool(torn)

    def __enter__(self) -> ResultsFile:
        """The file is open already."""
        return self

    def __exit__(self, *error: object) -> None:
        """Let another writer in."""
        self.close()

    def append(self, record: AnyGridRecord) -> None:
        """Add a record; when this returns it is on the disk."""
        line = record.to_line().encode()
        if os.write(self._file, line) != len(line):
            raise ConfigError(f"cannot write {str(self.path)!r}: the disk is full")
        os.fsync(self._file)
        self.records[record.key] = record

    def close(self) -> None:
        """Let another writer in."""
        os.close(self._file)
        self._lock.release()


def _set_aside(path: Path, found: _Parsed) -> None:
    """Move the lines that are no results; a kill between the two steps leaves them in both files."""
    with path.with_name(ASIDE).open("ab") as aside:
        aside.writelines(line + b"\n" for line in found.bad)
        aside.flush()
        os.fsync(aside.fileno())
    write_bytes(path, b"".join(line + b"\n" for line in found.good))


def _sync_folder(folder: Path) -> None:
    """Make a new file's name in `folder` as durable as its content."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
