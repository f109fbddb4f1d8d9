"""Where results go: what is there already stays what it is, and no result is lost at the end."""

from __future__ import annotations

import io
import json
import os
import stat
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from textleak.core import writing

Textleak = Callable[..., Any]
TEXT = "the cat sat on the mat ."
pytestmark = pytest.mark.usefixtures("fake")
needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")


@pytest.fixture
def attack(textleak: Textleak, mlm_folder: str) -> Textleak:
    return lambda *more: textleak("attack", "-a", "fake", "-m", mlm_folder, "-s", TEXT, *more)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], dict[str, Any]]:
    """The result that was kept elsewhere."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))

    def read() -> dict[str, Any]:
        (path,) = folder.iterdir()
        return json.loads(path.read_text())

    return read


def test_json_into_a_fifo(attack: Textleak, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    heard: list[str] = []
    reader = threading.Thread(target=lambda: heard.append(fifo.read_text()))
    reader.start()
    outcome = attack("--json", fifo)
    reader.join()
    assert outcome.code == 0
    assert json.loads(heard[0])["token_match"] == 1.0
    assert stat.S_ISFIFO(fifo.stat().st_mode)


def test_json_into_a_shells_pipe(attack: Textleak) -> None:
    ours, theirs = os.pipe()
    with open(ours) as pipe:
        heard: list[str] = []
        reader = threading.Thread(target=lambda: heard.append(pipe.read()))
        reader.start()
        outcome = attack("--json", f"/dev/fd/{theirs}")
        os.close(theirs)
        reader.join()
    assert outcome.code == 0
    assert json.loads(heard[0])["token_match"] == 1.0


@needs_full
def test_a_full_disk_keeps_the_result_elsewhere(attack: Textleak, kept: Any) -> None:
    outcome = attack("--json", "/dev/full")
    assert outcome.code == 2
    assert "cannot write '/dev/full': No space left on device; the result: kept in" in outcome.err
    assert "recovered  the cat sat on the mat ." in outcome.out
    assert kept()["token_match"] == 1.0


class Full(io.StringIO):
    """A stream with a full disk behind it."""

    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("more", [(), ("--json", "-")])
def test_a_full_disk_behind_standard_output(
    attack: Textleak, kept: Any, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...]
) -> None:
    monkeypatch.setattr("sys.stdout", Full())
    outcome = attack(*more)
    assert outcome.code == 2
    assert "No space left on device; the result: kept in" in outcome.err
    assert kept()["token_match"] == 1.0


def test_an_ascii_terminal_shows_the_result(
    attack: Textleak, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="ascii"))
    assert attack("--json", "-").code == 0
    assert json.loads(raw.getvalue())["token_match"] == 1.0
    raw.truncate(0)
    assert attack().code == 0
    assert b"recovered  the cat sat on the mat ." in raw.getvalue()


def test_a_folder_that_fills_up_ends_no_run(
    attack: Textleak, kept: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    put = writing._put

    def full(file: Any, data: bytes) -> None:
        if str(file.name).endswith("events.jsonl"):
            raise OSError(28, "No space left on device")
        put(file, data)

    monkeypatch.setattr(writing, "_put", full)
    outcome = attack("--save", "run", "--json", "result.json")
    assert outcome.code == 2
    assert "cannot write 'run/events.jsonl': No space left on device" in outcome.err
    for path in ("result.json", "run/result.json"):
        assert json.loads((tmp_path / path).read_text())["token_match"] == 1.0
    assert kept()["token_match"] == 1.0
