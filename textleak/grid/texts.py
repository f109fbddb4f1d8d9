"""The private texts of a grid, read from wherever its configuration says they are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textleak.client.reading import read_sentences
from textleak.core.errors import DataError, unknown
from textleak.core.grid_config import TextSet
from textleak.models.loading import local_only, quiet


@dataclass(frozen=True)
class LoadedTexts:
    """The texts of one set.

    Attributes:
        title: what the report calls the set.
        sentences: the texts.
        labels: their classes, where they have any.
    """

    title: str
    sentences: list[str]
    labels: list[int] | None


def load_texts(texts: TextSet) -> LoadedTexts:
    """Read a set of texts.

    Raises:
        DataError: it cannot be read, has no such column or split, or fewer texts than asked for.
    """
    if texts.file:
        sentences, labels = read_sentences(texts.file)
    elif texts.dataset:
        sentences, labels = _from_dataset(texts)
    else:
        sentences = list(texts.sentences)
        labels = None if texts.classes is None else list(texts.classes)
    if labels is not None and len(labels) != len(sentences):
        raise DataError(f"expected {len(sentences)} classes, one a sentence, got {len(labels)}")
    end = len(sentences) if texts.count is None else texts.start + texts.count
    if not texts.start < end <= len(sentences):
        asked = f"{texts.count or 1} texts from number {texts.start}"
        raise DataError(f"{texts.shown}: expected at least {asked}, got {len(sentences)} in all")
    for number, sentence in enumerate(sentences[texts.start : end], texts.start + 1):
        if not sentence.strip():
            raise DataError(f"{texts.shown}: text {number} is empty: expected at least one word")
    part = slice(texts.start, end)
    return LoadedTexts(texts.shown, sentences[part], None if labels is None else labels[part])


def _from_dataset(texts: TextSet) -> tuple[list[str], list[int] | None]:
    rows = _rows(texts)
    for column in filter(None, (texts.column, texts.label_column)):
        if column not in rows.column_names:
            raise DataError(unknown(f"column of {texts.dataset}", column, rows.column_names))
    sentences = list(rows[texts.column])
    if not all(isinstance(sentence, str) for sentence in sentences):
        raise DataError(f"column {texts.column!r} of {texts.dataset} does not hold text")
    if texts.label_column is None:
        return sentences, None
    labels = list(rows[texts.label_column])
    if not all(isinstance(label, int) for label in labels):
        raise DataError(f"column {texts.label_column!r} of {texts.dataset} holds no class numbers")
    return sentences, labels


def _rows(texts: TextSet) -> Any:
    """The dataset's split as the `datasets` library loads it, with its progress bars off."""
    import datasets

    bars = datasets.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    name = texts.dataset or ""
    cached = datasets.DownloadConfig(local_files_only=not Path(name).exists() and local_only(name))
    try:
        with quiet():
            return datasets.load_dataset(
                name, texts.config, split=texts.split, download_config=cached
            )
    except Exception as error:  # whatever the library raises for a name, a network, a format
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"cannot load the dataset {texts.dataset!r}: {reason}") from error
    finally:
        if bars:
            datasets.enable_progress_bars()
