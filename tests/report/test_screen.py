"""The live view redraws in place, leaves nothing behind, and puts the terminal right."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from textleak.core.events import Event
from textleak.report.progress import Progress
from textleak.report.screen import Mode, Screen
from textleak.results.header import RunHeader
from textleak.results.pieces import Pieces

HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"


def shown(mode: Mode, header: RunHeader, pieces: Pieces, events: list[Event]) -> str:
    out = StringIO()
    console = Console(file=out, width=60, force_terminal=mode == "live", highlight=False)
    with Screen(console, Progress(header, pieces, clock=lambda: 0.0), mode, every=10) as screen:
        screen.begin(0, 1, None)
        for event in events:
            screen.event(event)
    return out.getvalue()


def test_live_hides_the_cursor_and_gives_it_back(
    header: RunHeader, pieces: Pieces, events: list[Event]
) -> None:
    out = shown("live", header, pieces, events)
    assert out.count(HIDE) == out.count(SHOW) == 1
    assert out.index(HIDE) < out.index(SHOW)
    assert out.rstrip().endswith("\x1b[2K")


def test_the_terminal_is_put_right_whatever_happens(
    header: RunHeader, pieces: Pieces, events: list[Event]
) -> None:
    out = StringIO()
    console = Console(file=out, width=60, force_terminal=True)
    screen = Screen(console, Progress(header, pieces), "live")

    def interrupted() -> None:
        with screen:
            screen.begin(0, 1, None)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert out.getvalue().count(SHOW) == 1


def test_quiet_shows_nothing(header: RunHeader, pieces: Pieces, events: list[Event]) -> None:
    assert shown("quiet", header, pieces, events) == ""


def test_plain_says_the_last_iteration_too(
    header: RunHeader, pieces: Pieces, events: list[Event]
) -> None:
    lines = shown("plain", header, pieces, events).rstrip().split("\n")
    assert lines[0].rstrip() == "attack       dlg on minilm (mlm, pretrained weights)"
    assert [line.split("  ")[1] for line in lines if "objective" in line] == [
        "match 0/100",
        "match 10/100",
        "match 15/100",
    ]
