"""Which words a batch used, by whatever of an update tells them."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from textleak.core.update import SharedUpdate
from textleak.evidence.first_layer import FirstLayer
from textleak.evidence.pairs import pairs_in_span
from textleak.evidence.spans import Span, row_span
from textleak.evidence.words import UsedWords, tied_words, untied_words
from textleak.models.text_model import TextModel


def used_words(model: TextModel, update: SharedUpdate) -> UsedWords | None:
    """The words of the batch with their rows of the word table's gradient; None where that is not shared.

    A table that a decoder shares shows them by the rows of absent words, which are most of a large
    vocabulary. Of a small one they may not be: then the inputs of layer 0 tell which words there are,
    and so which rows are the decoder's alone.
    """
    embeddings = model.family.embeddings
    table = embeddings.words.of(update.gradients)
    if table is None:
        return None
    places = None if embeddings.positions is None else embeddings.positions.of(update.gradients)
    if not model.family.head.tied:
        return untied_words(table, places)
    used = tied_words(table, places)
    if used.exact or not FirstLayer.readable(model):
        return used
    present = _words_in_span(model, update)
    if not 0 < len(present) < len(table):
        return used
    again = tied_words(table, places, present)
    return again if again.exact else used


def input_span(model: TextModel, update: SharedUpdate) -> Span | None:
    """The span of what the first weights behind the embeddings read, if their gradients are shared.

    Narrow embeddings are read where they are widened: no layer shares that weight.
    """
    wide = model.family.embeddings.projection
    readers = model.family.layer(0).inputs if wide is None else (wide,)
    gradients = [part.of(update.gradients) for part in readers]
    shared = [gradient for gradient in gradients if gradient is not None]
    return row_span(shared) if shared else None


def spanned_pairs(model: TextModel, layer: FirstLayer, span: Span) -> list[tuple[int, int]]:
    """The (word id, place) whose embeddings lie in `input_span`."""
    words = torch.arange(len(model.tokenizer))
    return pairs_in_span(replace(layer, enlarged=None), span, words, model.max_length)


def _words_in_span(model: TextModel, update: SharedUpdate) -> Tensor:
    span = input_span(model, update)
    if span is None or span.noisy or not len(span.complement):
        return torch.zeros(0).long()
    pairs = spanned_pairs(model, FirstLayer.of(model), span)
    return torch.tensor(sorted({word for word, _ in pairs}), dtype=torch.long)
