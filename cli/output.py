"""Where a run is shown and written; refused before any work where it cannot be."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from textleak.report.files import check_writable, write_text
from textleak.report.folder import RunFolder

if TYPE_CHECKING:
    from textleak.report.screen import Mode

STDOUT = "-"
INTERRUPTED = 130
SOME_FAILED = 1


@dataclass
class Output:
    """The views and files of one run.

    Attributes:
        json: where the JSON goes; `-` is standard output, which then shows nothing else.
        save: the folder that keeps the run.
        quiet: no progress, only the end report.

    Raises:
        ConfigError: a file or folder cannot be written.
    """

    json: str | None = None
    save: Path | None = None
    quiet: bool = False
    folder: RunFolder | None = field(init=False, default=None)
    console: Console = field(init=False)

    def __post_init__(self) -> None:
        """Check that everything can be written."""
        self.console = Console(stderr=self.json == STDOUT, highlight=False)
        if self.json is not None and self.json != STDOUT:
            check_writable(self.json)
        if self.save is not None:
            self.folder = RunFolder(self.save)

    @property
    def mode(self) -> Mode:
        """Live on a terminal that can redraw, plain lines elsewhere."""
        if self.quiet:
            return "quiet"
        dumb = os.environ.get("TERM") in ("dumb", "unknown")
        return "live" if self.console.is_terminal and not dumb else "plain"

    @contextmanager
    def busy(self, what: str) -> Iterator[None]:
        """Say on a terminal what is being waited for; an interruption ends the command here."""
        try:
            with self.console.status(what) if self.mode == "live" else nullcontext():
                yield
        except KeyboardInterrupt as error:
            print("textleak: interrupted before the attack began", file=sys.stderr)
            raise typer.Exit(INTERRUPTED) from error

    def say(self, line: str) -> None:
        """Print a line, unless all is to be quiet."""
        if not self.quiet:
            self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def write_json(self, text: str) -> None:
        """Write the result where it was asked for."""
        if self.json == STDOUT:
            sys.stdout.write(text)
            sys.stdout.flush()
        elif self.json is not None:
            write_text(self.json, text)
