"""Private sentences from a file: one a line, or JSON lines with their labels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from textleak.errors import DataError


def read_sentences(path: str | Path) -> tuple[list[str], list[int] | None]:
    """The sentences of a `.txt` or `.jsonl` file, and their labels where every line has one.

    Empty lines are passed over. A JSON line is `{"text": …}`, with `"label"` if it has one.

    Raises:
        DataError: the file cannot be read, or a line of it is not as expected.
    """
    source = Path(path)
    try:
        lines = source.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise DataError(f"cannot read sentences from {str(path)!r}: {reason}") from error
    numbered = [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]
    if not numbered:
        raise DataError(f"no sentence in {str(path)!r}")
    if source.suffix != ".jsonl":
        return [line for _, line in numbered], None
    entries = [_entry(f"{path}:{number}", line) for number, line in numbered]
    labels = [label for _, label in entries if label is not None]
    return [text for text, _ in entries], labels if len(labels) == len(entries) else None


def _entry(where: str, line: str) -> tuple[str, int | None]:
    try:
        entry = json.loads(line)
    except ValueError as error:
        raise DataError(f"{where}: not JSON: {error}") from error
    if not isinstance(entry, dict) or not isinstance(entry.get("text"), str):
        raise DataError(f'{where}: expected an object with "text", got {line[:60]}')
    label = entry.get("label")
    if label is not None and (isinstance(label, bool) or not isinstance(label, int)):
        raise DataError(f'{where}: expected a whole number for "label", got {label!r}')
    return entry["text"], label


def in_batches(
    sentences: Sequence[str], labels: Sequence[int] | None, size: int | None
) -> list[tuple[list[str], list[int] | None]]:
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
