"""The one way to the terminal: nothing that a file, a name or a message holds can steer it.

Control characters, marks that reorder text and halves of surrogate pairs are shown as escapes, and
overlong lines are cut. A terminal that cannot show a character shows another; one that takes nothing
more (a full disk behind it, a closed pipe) is no reason to lose the work that was to be shown.
"""

from __future__ import annotations

import errno
import sys
import unicodedata
from collections.abc import Iterator
from typing import IO, Any, TextIO, cast

from rich.console import Console, ConsoleOptions, RenderableType, RenderHook
from rich.segment import Segment

_STEERING = {"Cc", "Cs", "Zl", "Zp"}  # control characters, half surrogates, other line ends
_REORDERING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
_MARKS = "\u200e\u200f\u061c"  # direction marks


def escaped(text: str, most: int = 4000, *, lines: bool = False) -> str:
    r"""The text with whatever would steer a terminal as escapes, cut to `most` characters.

    Args:
        text: from anywhere.
        most: characters that are kept.
        lines: leave newlines as they are.

    >>> escaped("red \x1b[31m, back\u202ewards")
    'red \\x1b[31m, back\\u202ewards'
    >>> escaped("abcdefgh", most=4)
    'abc… (4 characters left out) …h'
    """
    if len(text) > most:
        end = most // 4  # of a long message, what is said last tells most
        left = len(text) - most
        text = f"{text[: most - end]}… ({left} characters left out) …{text[len(text) - end :]}"
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if (c == "\n" and lines) or not _steers(c) else repr(c)[1:-1] for c in text)


def _steers(character: str) -> bool:
    return (
        unicodedata.category(character) in _STEERING
        or unicodedata.bidirectional(character) in _REORDERING
        or character in _MARKS
    )


class Escaped:
    """A renderable whose text is escaped as it is drawn; its colours stay."""

    def __init__(self, inside: RenderableType) -> None:
        self.inside = inside

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        """Yield what the renderable inside gives."""
        for text, style, control in console.render(self.inside, options):
            yield Segment(text if control else escaped(text, lines=True), style, control)


class _Hook(RenderHook):
    """Escapes everything that is printed on a console."""

    def process_renderables(self, renderables: list[Any]) -> list[Any]:
        return [Escaped(each) for each in renderables]


class Stream:
    """A text stream that never fails: what it cannot show is replaced, and an end is remembered.

    Args:
        inner: the stream behind it.

    Attributes:
        failure: why nothing more is shown; empty while all is. A reader that went away (`| head`)
            has seen what it wanted: that is no failure.
    """

    def __init__(self, inner: TextIO) -> None:
        self.inner = inner
        self.failure = ""
        self._ended = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def write(self, text: str) -> int:
        """Write what can be written."""
        if not self._ended:
            encoding = getattr(self.inner, "encoding", None) or "utf-8"
            safe = text.encode(encoding, "replace").decode(encoding)
            self._try(lambda: self.inner.write(safe))
        return len(text)

    def flush(self) -> None:
        """Hand on what was written."""
        if not self._ended:
            self._try(self.inner.flush)

    def _try(self, act: Any) -> None:
        try:
            act()
        except (OSError, ValueError) as error:
            self._ended = True
            if getattr(error, "errno", None) != errno.EPIPE:
                self.failure = getattr(error, "strerror", None) or str(error)


def terminal(*, stderr: bool = False) -> Console:
    """A console on standard output or standard error, on which nothing can go wrong."""
    stream = Stream(sys.stderr if stderr else sys.stdout)
    console = Console(file=cast(IO[str], stream), highlight=False)
    console.push_render_hook(_Hook())
    return console


def failure(console: Console) -> str:
    """Why a console of `terminal` shows no more; empty where it shows all."""
    return cast(str, getattr(console.file, "failure", ""))


def say(line: str, *, stderr: bool = False) -> None:
    """Print one line."""
    stream = Stream(sys.stderr if stderr else sys.stdout)
    stream.write(escaped(line) + "\n")
    stream.flush()
