"""From an update to the word-place pairs that its batch may hold, by whatever it shares."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from textleak.attacks.subspace.pairs import Duals
from textleak.core.errors import UpdateError
from textleak.core.update import SharedUpdate
from textleak.evidence.batch_words import input_span, spanned_pairs, used_words
from textleak.evidence.decoder import input_rows, scaled_decoder_part
from textleak.evidence.duals import context_duals, input_solution, residual_gradients
from textleak.evidence.first_layer import FirstLayer
from textleak.evidence.places import place_words
from textleak.evidence.regression import likely_pairs
from textleak.evidence.spans import Span, row_span
from textleak.evidence.words import UsedWords, active_rows, correlated_rows, is_noisy
from textleak.models.text_model import TextModel

_SHORTEST = 2  # places of a sentence: [CLS] and [SEP]
_OPEN, _LEAST = 600, 20  # open pairs under noise: in all, and of a place


@dataclass(frozen=True)
class Candidates:
    """The pairs that may occur, and which are proven.

    Attributes:
        pairs: (word id, place) each.
        settled: for each whether it is proven to occur.
        deltas: (S, H) the gradient at the sum of embeddings of each settled pair; these come first;
            (0, H) where no embedding gradient is shared.
        stages: what each piece of evidence gave, in words.
    """

    pairs: list[tuple[int, int]]
    settled: list[bool]
    deltas: Tensor
    stages: tuple[str, ...]


def find_candidates(
    model: TextModel, update: SharedUpdate, layer: FirstLayer, *, exact: bool = True
) -> Candidates:
    """The word-place pairs that `update` allows; by regression alone where not `exact`."""
    shared = update.gradients
    table = model.family.embeddings.words.of(shared)
    at_places = _position_rows(model, update)
    used = used_words(model, update)
    if table is None or used is None:
        return _from_span(model, update, layer)
    ids, rows, unsure = _input_rows(model, update, table, used)
    longest = max(update.metadata.lengths or (model.max_length,))
    places = longest if at_places is None else _places(table, at_places)
    if places < _SHORTEST:
        return Candidates([], [], rows[:0], (f"{len(ids)} words; noise hides their places",))
    position_rows = None if at_places is None else at_places[:places]
    if position_rows is not None and not exact:
        return _from_regression(layer, ids, rows, position_rows)
    placed = place_words(layer, ids, rows, position_rows, places, unsure)
    if not placed.settled and position_rows is not None:
        return _from_regression(layer, ids, rows, position_rows)
    settled = [(int(ids[word]), place) for word, place in placed.settled]
    open_places = range(places) if placed.open_places is None else placed.open_places
    known = set(settled)
    loose = [
        (int(ids[word]), place)
        for place in layer.variants(open_places)
        for word in placed.open_words
        if (int(ids[word]), place) not in known
    ]
    note = f"{len(ids)} words; {len(settled)} pairs settled, {len(loose)} open"
    flags = [True] * len(settled) + [False] * len(loose)
    deltas = torch.stack([*placed.settled.values()]) if settled else rows[:0]
    return Candidates(settled + loose, flags, deltas, (note,))


def _position_rows(model: TextModel, update: SharedUpdate) -> Tensor | None:
    positions = model.family.embeddings.positions
    return None if positions is None else positions.of(update.gradients)


def _places(table: Tensor, at_places: Tensor) -> int:
    """How many places the batch uses."""
    used = len(active_rows(at_places))
    return max(used, len(correlated_rows(table, at_places)[1])) if is_noisy(at_places) else used


def _from_regression(
    layer: FirstLayer, ids: Tensor, rows: Tensor, position_rows: Tensor
) -> Candidates:
    """Pairs where noise hides the exact relations, likeliest first.

    What stands alone at its place counts as settled. The open pairs are as many of each place as
    completion can weigh against each other: least squares misses true ones where words repeat.
    """
    strength, alone = likely_pairs(rows, position_rows)
    each = max(_OPEN // strength.shape[1], _LEAST)
    ranks = strength.argsort(0, descending=True).argsort(0)  # (W, T)
    loose = ((ranks < each) & ~alone).nonzero()
    order = strength[loose[:, 0], loose[:, 1]].argsort(descending=True)
    settled = [(int(ids[w]), t) for w, t in alone.nonzero().tolist()]
    opened = [(int(ids[w]), t) for w, t in loose[order].tolist()]
    if layer.typed:  # a regression does not tell the two segments
        opened = [(w, at) for w, t in [*settled, *opened] for at in layer.variants([t])]
        settled = []
    note = f"{len(ids)} words; under noise {len(settled)} pairs likely, {len(opened)} open"
    flags = [True] * len(settled) + [False] * len(opened)
    return Candidates(settled + opened, flags, rows[:0], (note,))


def _from_span(model: TextModel, update: SharedUpdate, layer: FirstLayer) -> Candidates:
    """Pairs from the span of layer 0's inputs alone; settled where a place allows one word."""
    nothing = torch.zeros(0, model.word_table.shape[1]).double()
    span = input_span(model, update)
    if span is None:
        return Candidates([], [], nothing, ("no embedding gradient, no layer 0 inputs",))
    found = spanned_pairs(model, layer, span)
    alone = Counter(place for _, place in found)
    settled = [pair for pair in found if alone[pair[1]] == 1]
    loose = [pair for pair in found if alone[pair[1]] > 1]
    note = f"span of rank {span.rank}: {len(settled)} pairs settled, {len(loose)} open"
    flags = [True] * len(settled) + [False] * len(loose)
    return Candidates(settled + loose, flags, nothing, (note,))


def _input_rows(
    model: TextModel, update: SharedUpdate, table: Tensor, used: UsedWords
) -> tuple[Tensor, Tensor, dict[int, Tensor]]:
    """The batch's words, their rows, and which rows are one of several alternatives."""
    head = model.family.head
    if not head.tied:
        frame = torch.tensor([model.tokenizer.cls_token_id, model.tokenizer.sep_token_id])
        ids = used.ids
        if model.feed.framed:
            ids = torch.unique(torch.cat([ids, frame]))  # no sentence goes without these
        return ids, table[ids].double(), {}
    if not used.exact:
        return used.ids, used.deltas, {}
    bias_gradient, bias = head.output.bias_of(update.gradients), head.output.bias
    if bias_gradient is None or bias is None:
        return used.ids, used.deltas, dict.fromkeys(range(len(used.ids)), used.deltas[:0])
    words = model.word_table.detach()
    part, factor = scaled_decoder_part(table, bias_gradient, used.decoder, used.ids, words, bias)
    if factor == 1:
        rows, unsure = input_rows(part, table, bias_gradient, used.ids, words, bias)
        return used.ids, rows, unsure
    rows, unsure = input_rows(part, table / factor, bias_gradient, used.ids, words, bias)
    return used.ids, factor * rows, {word: factor * of_word for word, of_word in unsure.items()}


def with_ends(
    found: Candidates, layer: FirstLayer, last: int, lengths: Sequence[int]
) -> Candidates:
    """`found` with what may end a sequence, beside what stands inside of one.

    Where neither ids nor types tell the two: separators of a pair, or any token without a frame.

    Raises:
        UpdateError: sequences without a frame whose lengths are not known.
    """
    if layer.typed or not (layer.bare or layer.separator is not None):
        return found
    if layer.bare and not lengths:
        raise UpdateError("subspace needs the lengths of sequences without a frame")
    longest = max(lengths, default=0) - 1 if layer.bare else -1
    pairs = [(w, t + layer.count) if t == longest else (w, t) for w, t in found.pairs]
    ending = [
        (w, t + layer.count)
        for w, t in pairs
        if t < layer.count and (t + 1 in lengths if layer.bare else w == last)
    ]
    flags = [*found.settled, *(False for _ in ending)]
    return replace(found, pairs=[*pairs, *ending], settled=flags)


def context_span(model: TextModel, update: SharedUpdate, rank: int | None = None) -> Span | None:
    """The span of layer 0's attention contexts, if its gradient is shared."""
    gradient = model.family.layer(0).output.of(update.gradients)
    return None if gradient is None else row_span([gradient], rank)


def everything(layer: FirstLayer) -> Span:
    """The span that excludes nothing, for contexts of which nothing is shared."""
    width = layer.width
    return Span(torch.eye(width).double(), torch.zeros(0, width).double())


def context_duals_of(
    model: TextModel, update: SharedUpdate, layer: FirstLayer, found: Candidates, span: Span
) -> Duals | None:
    """Measurements that tell contexts apart, if the update shares what they need."""
    first = model.family.layer(0)
    behind = first.output.of(update.gradients)
    shared = [part.of(update.gradients) for part in first.inputs]
    stacked = [gradient.double() for gradient in shared if gradient is not None]
    again = model.family.layers > 1 and model.family.layer(1).query == first.query
    if layer.enlarged is not None or again:  # the residual connection adds another vector
        return None
    if behind is None or len(stacked) < len(shared):
        return None
    if span.noisy or span.rank >= behind.shape[1] or not len(found.deltas):
        return None
    words, places = (torch.tensor(column) for column in zip(*found.pairs, strict=True))
    projected, determined = input_solution(layer.inputs(words, places), torch.cat(stacked))
    count = len(found.deltas)
    sure = (determined[:count] > 1 - 1e-6).nonzero().flatten()
    if not len(sure):
        return None
    columns = torch.linalg.svd(behind.double())[0][:, : span.rank]
    residuals = residual_gradients(
        layer, words[sure], places[sure], found.deltas[sure], projected[sure], columns
    )
    return Duals(sure.numpy(), context_duals(behind, residuals, span.rank))
