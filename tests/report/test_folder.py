from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rich.console import Console

from textleak.core.errors import ConfigError
from textleak.core.events import Event
from textleak.core.update import SharedUpdate, UpdateMetadata
from textleak.report.replaying import show_again
from textleak.results.folder import EVENTS, RESULT, UPDATE, RunFolder, SavedRun
from textleak.results.header import RunHeader
from textleak.results.pieces import Pieces
from textleak.results.record import RunRecord

Save = Callable[[RunRecord | None], Path]


@pytest.fixture
def save(tmp_path: Path, header: RunHeader, pieces: Pieces, events: list[Event]) -> Save:
    def saved(record: RunRecord | None) -> Path:
        folder = RunFolder(tmp_path / "run")
        folder.start(header, {"every": 10}, pieces)
        folder.begin(0, SharedUpdate({"w": torch.ones(1)}, UpdateMetadata()))
        for event in events:
            folder.event(event)
        if record is not None:
            folder.finish(record)
        folder.close()
        return tmp_path / "run"

    return saved


def test_a_run_comes_back_as_it_was(
    save: Save, record: RunRecord, header: RunHeader, events: list[Event]
) -> None:
    folder = save(record)
    run = SavedRun(folder)
    assert (run.header, run.events, run.record, run.every) == (header, events, record, 10)
    assert run.references(0) == [[5, 6, 7, 8, 9]]
    assert run.pieces([5, 7, 10]) == ["we", "tutor", "it"]
    assert (folder / UPDATE).is_file()
    assert not [path for path in folder.iterdir() if path.name.endswith(".part")]


def test_a_run_cut_short_can_still_be_read(save: Save, events: list[Event]) -> None:
    folder = save(None)
    lines = (folder / EVENTS).read_text()
    (folder / EVENTS).write_text(lines[:-20])
    run = SavedRun(folder)
    assert run.record is None
    assert run.references(0) is None
    assert run.events == events[:-1]


def test_a_broken_run_is_one_line(save: Save, record: RunRecord, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no saved run"):
        SavedRun(tmp_path / "none")
    folder = save(record)
    (folder / RESULT).write_text("{")
    with pytest.raises(ConfigError, match="cannot read the run"):
        SavedRun(folder)


def test_a_folder_in_use_is_refused(save: Save, record: RunRecord) -> None:
    folder = save(record)
    with pytest.raises(ConfigError, match="is not empty"):
        RunFolder(folder)


def test_a_replay_keeps_the_pace_of_the_run(save: Save, record: RunRecord) -> None:
    run = SavedRun(save(record))
    console = Console(width=70, color_system=None, record=True)
    waits: list[float] = []
    with console.capture() as shown:
        show_again(run, console, "plain", 10, 2.0, waits.append)
    assert waits == pytest.approx([0.0, 0.0, 0.5, 0.25, 0.05])
    lines = [line.rstrip() for line in shown.get().split("\n")]
    assert lines[0] == "attack       dlg on minilm (mlm, pretrained weights)"
    assert [
        line.split("  ")[1] for line in lines if "objective 0" in line or "tive 1 " in line
    ] == [
        "match 0/100",
        "match 10/100",
        "match 15/100",
    ]
    assert "reference  we welcome tutorials ." in lines
    assert "token match  0.800, ROUGE-1/2/L 0.750 0.500 0.750, exact 0 of 1" in lines
