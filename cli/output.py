"""Where a run is shown and written; refused before any work where it cannot be."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import BaseModel, ConfigDict
from rich.console import RenderableType

from textleak.core.errors import ConfigError
from textleak.core.option import SHOW, Option
from textleak.core.writing import check_folder, check_writable, keep, print_text, write_text
from textleak.report.terminal import escaped, failure, say, terminal

if TYPE_CHECKING:
    from textleak.report.screen import Mode

STDOUT = "-"
INTERRUPTED = 130
SOME_FAILED = 1


def complained(line: str) -> None:
    """Say on standard error what is not as it should be."""
    say(f"textleak: {line}", stderr=True)


class OutputOptions(BaseModel):
    """Where a run is shown and written; `debug` is read before anything else is."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    quiet: Annotated[bool, Option("No progress, only the end report.", SHOW, ("--quiet", "-q"))] = (
        False
    )
    json_to: Annotated[
        str | None, Option("Write the result as JSON; - is standard output.", SHOW, ("--json",))
    ] = None
    save: Annotated[Path | None, Option("Keep the run in a new folder.", SHOW)] = None
    debug: Annotated[bool, Option("A full traceback for errors.", SHOW)] = False


class Output:
    """The views and files of one run.

    Args:
        options: where it is shown and written; JSON on standard output leaves nothing else there.

    Raises:
        ConfigError: a file or folder cannot be written.
    """

    def __init__(self, options: OutputOptions | None = None) -> None:
        self.options = options or OutputOptions()
        self.json, self.save = self.options.json_to, self.options.save
        self.quiet = self.options.quiet
        self.console = terminal(stderr=self.json == STDOUT)
        if self.json is not None and self.json != STDOUT:
            check_writable(self.json)
        if self.save is not None:
            check_folder(self.save, "config.json")

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
            say("textleak: interrupted before the attack began", stderr=True)
            raise typer.Exit(INTERRUPTED) from error

    def say(self, line: str) -> None:
        """Print a line, unless all is to be quiet."""
        if not self.quiet:
            self.console.print(escaped(line), markup=False, highlight=False, soft_wrap=True)

    def deliver(
        self, text: str, views: list[RenderableType], finish: Callable[[], None] | None = None
    ) -> None:
        """Write the result wherever it was asked for, and show it.

        Args:
            text: the result as JSON.
            views: the same for the screen.
            finish: writes what else is to be kept.

        Raises:
            ConfigError: something could not be written; the result is kept elsewhere.
        """
        wrong: list[str] = []
        for write in (lambda: self.write_json(text), finish):
            try:
                if write is not None:
                    write()
            except ConfigError as error:
                wrong.append(str(error))
        for view in views:
            self.console.print(view)
        if failure(self.console):
            wrong.append(f"cannot print the result: {failure(self.console)}")
        if wrong:
            raise ConfigError(f"{'; '.join(wrong)}; the result: {keep('result.json', text)}")

    def write_json(self, text: str) -> None:
        """Write the result where it was asked for.

        Raises:
            ConfigError: it cannot be written.
        """
        if self.json == STDOUT:
            try:
                print_text(text, sys.stdout)
            except BrokenPipeError:
                return  # the reader has seen what it wanted
            except OSError as error:
                raise ConfigError(f"cannot write the result: {error.strerror}") from error
        elif self.json is not None:
            write_text(self.json, text)
