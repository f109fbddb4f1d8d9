"""`textleak report`: sum up an audit as a page, tables and plots."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from textleak.core.writing import check_writable
from textleak.report.terminal import say

from .options import Given, command, of
from .output import Output, OutputOptions, complained

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@command(app, shown=of(OutputOptions, only=("debug",)))
def report(
    shown: Given,
    folder: Annotated[Path, typer.Argument(help="The folder of an audit, finished or not.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder; default FOLDER/report.")
    ] = None,
    compare: Annotated[
        Path | None, typer.Option(help="The folder of another audit to compare with.")
    ] = None,
) -> int:
    """Write report.html (one file, no network), report.md, CSV tables and plots as SVG and PNG."""
    target = output or folder / "report"
    with Output().busy("reading the results …"):
        from textleak.report.grid.files import PAGE, write_report
        from textleak.results.audited import read_audit

        check_writable(target / PAGE)
        audit = read_audit(folder, complained)
        other = read_audit(compare, complained) if compare else None
        paths = write_report(target, audit, other)
    say(f"{paths[0]}, and {len(paths) - 1} files beside it")
    return 0
