"""A recovery under its reference, word by word, right tokens green and wrong ones red."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from textleak.results.pieces import CONTINUES

RIGHT, WRONG = "green", "bold red"
MISSING = "·"


@dataclass(frozen=True)
class Alignment:
    """A renderable of two aligned lines, wrapped together; one line where no reference is known.

    Attributes:
        recovered: the recovered word pieces.
        reference: the true word pieces.
        names: what the two lines are called.
    """

    recovered: Sequence[str]
    reference: Sequence[str] | None = None
    names: tuple[str, str] = ("reference", "recovered")

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the wrapped lines; without colour, marks under the wrong tokens."""
        indent = max(cell_len(name) for name in self.names) + 2
        room = max(8, options.max_width - indent)
        for row in _wrap(self._cells(), room):
            if self.reference is not None:
                yield _line(self.names[0], indent, [cell[0] for cell in row], row)
            yield _line(self.names[1], indent, [cell[1] for cell in row], row)
            marks = [_marks(cell[1]) for cell in row]
            if console.color_system is None and any(mark.plain.strip() for mark in marks):
                yield _line("", indent, marks, row)

    def _cells(self) -> list[tuple[Text, Text]]:
        if self.reference is None:
            return [(Text(), _joined(group, None)) for group in _words(self.recovered)]
        cells, at = [], 0
        for group in _words(self.reference):
            found = list(self.recovered[at : at + len(group)])
            found += [MISSING] * (len(group) - len(found))
            cells.append((_joined(group, None), _joined(found, group)))
            at += len(group)
        extra = self.recovered[at:]
        return cells + [(Text(), _joined([piece], [""])) for piece in extra]


def _words(pieces: Sequence[str]) -> list[list[str]]:
    """Word pieces grouped into words."""
    groups: list[list[str]] = []
    for piece in pieces:
        if piece.startswith(CONTINUES) and groups:
            groups[-1].append(piece)
        else:
            groups.append([piece])
    return groups


def _joined(pieces: Sequence[str], truth: Sequence[str] | None) -> Text:
    """The pieces as one word, coloured by whether each is the true one."""
    text = Text()
    for index, piece in enumerate(pieces):
        continues = piece.startswith(CONTINUES) and index > 0
        if index > 0 and not continues:
            text.append(" ")
        style = "" if truth is None else RIGHT if piece == truth[index] else WRONG
        text.append(piece[len(CONTINUES) :] if continues else piece, style=style)
    return text


def _marks(found: Text) -> Text:
    """Carets under the wrong pieces of a word, for screens and files without colour."""
    marks = [" "] * len(found.plain)
    for span in found.spans:
        if span.style == WRONG:
            marks[span.start : span.end] = "^" * (span.end - span.start)
    return Text("".join(marks))


def _wrap(cells: list[tuple[Text, Text]], room: int) -> list[list[tuple[Text, Text]]]:
    """Cells in rows that fit into `room` columns."""
    rows: list[list[tuple[Text, Text]]] = [[]]
    used = 0
    for cell in cells:
        width = max(cell[0].cell_len, cell[1].cell_len) + 1
        if rows[-1] and used + width - 1 > room:
            rows.append([])
            used = 0
        rows[-1].append(cell)
        used += width
    return rows


def _line(name: str, indent: int, texts: list[Text], row: list[tuple[Text, Text]]) -> Text:
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(name.ljust(indent), style="dim")
    for text, cell in zip(texts, row, strict=True):
        padding = max(cell[0].cell_len, cell[1].cell_len) - text.cell_len
        line.append_text(text)
        line.append(" " * (padding + 1))
    line.rstrip()
    return line
