"""Private sentences from a file: one a line, or JSON lines with their labels."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from textleak.core.bounds import MOST_BYTES
from textleak.core.errors import DataError
from textleak.tasks.base import TextTask

_TABLES = {".csv", ".tsv", ".json", ".parquet", ".arrow", ".xlsx", ".gz", ".zip"}
_BLANK = " \t\r"  # around a line; any other white space is text


def read_sentences(
    path: str | Path,
    wrong_label: Callable[[object], str | None] = TextTask.wrong_label,
    most: int = MOST_BYTES,
    *,
    pairs: bool = False,
) -> tuple[list[str], list[Any] | None]:
    """The sentences of a `.txt` or `.jsonl` file, and their labels where every line has one.

    A line ends at a newline and nowhere else. Empty lines are passed over. A JSON line is
    `{"text": …}`, with `"label"` if it has one.

    Args:
        path: the file; it may be a pipe.
        wrong_label: what is wrong with a line's label, as its task says; whole numbers by default.
        most: bytes that it may hold.
        pairs: JSON lines have `text_pair` beside `text`: the two come with a tab between them.

    Raises:
        DataError: the file cannot be read or is too long, or a line of it is not as expected.
    """
    source = Path(path)
    if source.suffix.lower() in _TABLES:
        raise DataError(
            f"cannot read sentences from {str(path)!r}: expected .txt (a sentence a line) or .jsonl "
            f'(lines of {{"text": …}}), got {source.suffix}'
        )
    lines = _lines(source, most)
    numbered = [(number, line.strip(_BLANK)) for number, line in enumerate(lines, 1)]
    numbered = [(number, line) for number, line in numbered if line]
    if not numbered:
        raise DataError(f"no sentence in {str(path)!r}")
    if source.suffix.lower() != ".jsonl":
        return [line for _, line in numbered], None
    entries = [_entry(f"{path}:{number}", line, wrong_label, pairs) for number, line in numbered]
    labels = [label for _, label in entries if label is not None]
    return [text for text, _ in entries], labels if len(labels) == len(entries) else None


def _lines(source: Path, most: int) -> list[str]:
    what = f"cannot read sentences from {str(source)!r}: "
    try:
        with source.open("rb") as file:
            data = file.read(most + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no file can have this name"
        raise DataError(what + reason) from error
    if len(data) > most:
        raise DataError(f"{what}expected at most {most} bytes")
    try:
        return data.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise DataError(f"{source}:{line}: not UTF-8 text") from error


def _entry(
    where: str, line: str, wrong_label: Callable[[object], str | None], pairs: bool
) -> tuple[str, Any]:
    try:
        entry = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{where}: not JSON: {error.msg} at character {error.pos + 1}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: too deep, or a number too long, for a sentence") from error
    if not isinstance(entry, dict) or not isinstance(entry.get("text"), str):
        raise DataError(f'{where}: expected an object with "text", got {line[:60]}')
    label = entry.get("label")
    wrong = None if label is None else wrong_label(label)
    if wrong is not None:
        raise DataError(f'{where}: {wrong} for "label", got {str(label)[:60]!r}')
    text = entry["text"]
    if pairs != ("text_pair" in entry):
        with_it = '"text_pair" beside "text"' if pairs else 'no "text_pair" without --pair'
        raise DataError(f"{where}: expected {with_it}")
    if pairs:
        if not isinstance(entry["text_pair"], str):
            raise DataError(f'{where}: expected text for "text_pair"')
        text = f"{text}\t{entry['text_pair']}"
    half = half_character(text)
    if half is not None:
        raise DataError(f"{where}: {half}")
    return text, label


def half_character(text: str) -> str | None:
    r"""What is wrong with a text that holds half of a surrogate pair; None where it does not.

    >>> half_character("a\ud800b")
    'expected text, got U+D800, half of a character'
    """
    half = next((c for c in text if "\ud800" <= c <= "\udfff"), None)
    return None if half is None else f"expected text, got U+{ord(half):04X}, half of a character"


def in_batches(
    sentences: Sequence[str], labels: Sequence[Any] | None, size: int | None
) -> list[tuple[list[str], list[Any] | None]]:
    """Consecutive sentences in batches of `size` with their labels; one batch without a size.

    >>> in_batches(["a", "b", "c"], None, 2)
    [(['a', 'b'], None), (['c'], None)]
    """
    step = size or len(sentences)
    starts = range(0, len(sentences), step)
    return [
        (list(sentences[i : i + step]), None if labels is None else list(labels[i : i + step]))
        for i in starts
    ]
