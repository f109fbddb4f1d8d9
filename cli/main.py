"""The command line. Commands are imported when they are called: `--help` must not import torch."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import Abort, TyperException

from textleak import __version__
from textleak.core.errors import TextleakError
from textleak.report.terminal import say

# name: (module, what it does); a module's `app` is a typer application.
COMMANDS = {
    "attack": ("attack", "Share the gradient of your sentences, and see it give them back."),
    "capture": ("capture", "Write the update that a client with your sentences would share."),
    "invert": ("invert", "Attack an update: from capture, or your own training."),
    "inspect": ("inspect", "Say what an update holds and gives away, without attacking it."),
    "audit": ("audit", "Run a grid of attacks: texts, models, attacks, defences, seeds."),
    "report": ("report", "Sum up an audit as a page, tables and plots."),
    "replay": ("replay", "Show again a run kept with --save."),
    "vision": ("vision", "The same for pictures."),
    "bench": ("bench", "Measure attacks over models, settings and data."),
    "list": ("listing", "List attacks, models, activations, presets and metrics."),
}


class LazyCommand(TyperCommand):
    """Stands for a command in the help until it is called."""

    def __init__(self, name: str, module: str, help: str) -> None:
        super().__init__(name, help=help)
        self.module = module

    def make_context(
        self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any
    ) -> Any:
        """Import the command and hand over to it."""
        app: typer.Typer = import_module(f"{__package__}.{self.module}").app
        return typer.main.get_command(app).make_context(info_name, args, parent, **extra)


class LazyGroup(TyperGroup):
    """The commands of this installation, none of them imported."""

    def __init__(self, **attrs: Any) -> None:
        super().__init__(**attrs)
        for name, (module, help) in COMMANDS.items():
            if find_spec(f"{__package__}.{module}") is not None:
                self.add_command(LazyCommand(name, module, help), name)


app = typer.Typer(
    cls=LazyGroup,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
)


def _version(asked: bool) -> None:
    if asked:
        print(f"textleak {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Audit how much private text leaks from the gradients that training shares.

    Try:  textleak attack --sentence "The chair pushed."
    """
    if context.invoked_subcommand is None:
        print(context.get_help())


def run(arguments: list[str]) -> int:
    """Run the command line and return its exit code; what a user can mend is one line on stderr."""
    debug = "--debug" in arguments
    try:
        code = typer.main.get_command(app).main(
            arguments, prog_name="textleak", standalone_mode=False
        )
        return code if isinstance(code, int) else 0
    except TextleakError as error:
        if debug:
            raise
        return _complain(" ".join(str(error).split("\n")), 2)
    except OSError as error:  # a file or a disk that is not as it should be
        if debug:
            raise
        place = "" if error.filename is None else f"{error.filename!r}: "
        return _complain(f"{place}{error.strerror or type(error).__name__}", 2)
    except (MemoryError, RuntimeError) as error:
        if debug or not _out_of_memory(error):
            raise
        return _complain("this needs more memory than there is: take fewer or less at a time", 2)
    except TyperException as error:
        return _complain(error.format_message().replace("\n", " "), error.exit_code)
    except (Abort, KeyboardInterrupt):
        return _complain("interrupted", 130)


def _out_of_memory(error: Exception) -> bool:
    """Whether memory ran out; torch says so in words, and of sizes that no memory has as well."""
    said = ("can't allocate memory", "out of memory", "Storage size calculation overflowed")
    return isinstance(error, MemoryError) or any(words in str(error) for words in said)


def _complain(message: str, code: int) -> int:
    say(f"textleak: {message}", stderr=True)
    return code


def main() -> None:
    """The entry point `textleak`."""
    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except OSError:  # said already; Python would try again as it ends, and complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


if __name__ == "__main__":
    main()
