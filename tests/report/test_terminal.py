import io
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from textleak.report.terminal import Escaped, Stream, escaped, failure, say, terminal

HOSTILE = "a\x1b]0;title\x07b\x9bc\u202ed\u2066e\u200ff\ud800g\rh\x7fi\u2028j"


@given(st.text(st.characters(blacklist_categories=())))
def test_nothing_that_steers_is_left(text: str) -> None:
    for c in escaped(text):
        assert unicodedata.category(c) not in ("Cc", "Cs", "Zl", "Zp")
        assert c not in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c"


def test_what_people_write_stays() -> None:
    for text in ("naïve café", "日本語", "שלום", "مرحبا", "e\u0301", "👩\u200d👩", "a  b"):
        assert escaped(text) == text


def test_long_lines_are_cut() -> None:
    assert len(escaped("x" * 10_000_000)) < 5000


@pytest.mark.parametrize("stderr", [False, True])
def test_everything_printed_is_escaped(capsys: pytest.CaptureFixture[str], stderr: bool) -> None:
    console = terminal(stderr=stderr)
    console.print(Text(HOSTILE), HOSTILE)
    say(HOSTILE, stderr=stderr)
    shown = capsys.readouterr()[stderr]
    assert shown
    assert not set(shown) & set("\x1b\x07\x9b\u202e\u2066\u200f\ud800\r\x7f\u2028")
    assert "a\\x1b]0;title\\x07b\\x9bc\\u202ed" in shown


def test_colours_stay() -> None:
    from rich.console import Console

    console = Console(file=io.StringIO(), force_terminal=True, color_system="standard")
    console.print(Escaped(Text("red \x1b[2J", "red")))
    assert console.file.getvalue() == "\x1b[31mred \\x1b[2J\x1b[0m\n"  # type: ignore[attr-defined]


def test_an_ascii_terminal_shows_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="ascii"))
    terminal().print("naïve 日本")
    assert raw.getvalue() == b"na?ve ??\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_behind_a_terminal_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/full", "w", buffering=1) as full:
        monkeypatch.setattr("sys.stdout", full)
        console = terminal()
        console.print("one")
        console.print("two")
        assert failure(console) == "No space left on device"
        monkeypatch.undo()
        with pytest.raises(OSError, match="No space"):
            full.close()


def test_a_reader_that_went_away_is_no_failure() -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError(32, "Broken pipe")

    stream = Stream(Gone())
    stream.write("one")
    assert stream.failure == ""
