"""From an update to the word-place pairs that its batch may hold, by whatever it shares."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from textleak.evidence.first_layer import FirstLayer
from textleak.evidence.places import place_words
from textleak.evidence.spans import Span, row_span
from textleak.evidence.words import active_rows, tied_words, untied_words
from textleak.models import bert_parts as parts
from textleak.models.text_model import TextModel
from textleak.update import SharedUpdate


@dataclass(frozen=True)
class Candidates:
    """The pairs that may occur, and which are proven.

    Attributes:
        pairs: (word id, place) each.
        settled: for each whether it is proven to occur.
        stages: what each piece of evidence gave, in words.
    """

    pairs: list[tuple[int, int]]
    settled: list[bool]
    stages: tuple[str, ...]


def find_candidates(model: TextModel, update: SharedUpdate, layer: FirstLayer) -> Candidates:
    """The word-place pairs that `update` allows."""
    shared = update.gradients
    words = shared.get(model.adapter.word_table)
    at_places = shared.get(model.adapter.position_table)
    if words is None or model.task == "mlm":
        raise NotImplementedError
    used = untied_words(words)
    places = len(active_rows(at_places)) if at_places is not None else model.max_length
    rows = None if at_places is None else at_places[:places]
    placed = place_words(layer, used.ids, used.deltas, rows, places)
    settled = [(int(used.ids[word]), place) for word, place in placed.settled]
    open_places = range(places) if placed.open_places is None else placed.open_places
    known = set(settled)
    loose = [
        (int(used.ids[word]), place)
        for place in open_places
        for word in placed.open_words
        if (int(used.ids[word]), place) not in known
    ]
    note = f"{len(used.ids)} words; {len(settled)} places settled, {len(loose)} pairs open"
    return Candidates(settled + loose, [True] * len(settled) + [False] * len(loose), (note,))


def context_span(model: TextModel, update: SharedUpdate) -> Span | None:
    """The span of layer 0's attention contexts, if its gradient is shared."""
    gradient = update.gradients.get(parts.attention_output(0) + "weight")
    return None if gradient is None else row_span([gradient])
