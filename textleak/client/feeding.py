"""Texts as a model is fed them: framed, in pairs, cut to a length, or packed into rows."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from textleak.client.reading import half_character
from textleak.core.batch import padded
from textleak.core.errors import DataError
from textleak.models.text_model import TextModel

SEPARATOR = "\t"  # between the two segments of a pair


def token_rows(model: TextModel, texts: Sequence[str]) -> list[list[int]]:
    """The token ids of each sequence that `texts` make.

    Raises:
        DataError: an empty or too long text, or one segment where two are expected.
    """
    if not texts:
        raise DataError("expected at least one sentence, got none")
    feed = model.feed
    if feed.max_length is not None and feed.max_length > model.max_length:
        raise DataError(
            f"rows of {feed.max_length} tokens, the model takes at most {model.max_length}"
        )
    rows = [_encoded(model, number, text) for number, text in enumerate(texts, 1)]
    if not feed.packed:
        return rows
    width, stream = feed.max_length or model.max_length, [token for row in rows for token in row]
    whole = len(stream) - len(stream) % width
    return [stream[at : at + width] for at in range(0, whole or len(stream), width)]


def tokenized(model: TextModel, texts: Sequence[str]) -> dict[str, Tensor]:
    """`token_rows` padded, with their attention mask."""
    rows = token_rows(model, texts)
    ids, mask = padded(rows, int(model.tokenizer.pad_token_id))
    return {"input_ids": ids, "attention_mask": mask}


def _encoded(model: TextModel, number: int, text: str) -> list[int]:
    feed = model.feed
    segments = text.split(SEPARATOR) if feed.pairs else [text]
    if feed.pairs and len(segments) != 2:
        raise DataError(
            f"sentence {number}: expected two segments with a tab between them, got {len(segments)}"
        )
    for segment in segments:
        half = half_character(segment)
        if half is not None:
            raise DataError(f"sentence {number}: {half}")
        if not model.tokenizer(segment, add_special_tokens=False)["input_ids"]:
            raise DataError(f"sentence {number} is empty: expected at least one word")
    cut = {} if feed.packed or feed.max_length is None else {"max_length": feed.max_length}
    ids = model.tokenizer(
        *segments, add_special_tokens=feed.special_tokens, truncation=bool(cut), **cut
    )["input_ids"]
    if not feed.packed and len(ids) > model.max_length:
        raise DataError(
            f"sentence {number} has {len(ids)} tokens, the model takes at most {model.max_length}"
        )
    return list(ids)
