"""What makes a result unreliable, in a few lines; a proven recovery needs none of them."""

from __future__ import annotations

import torch

from textleak.attacks.matching.nearest import standing_words
from textleak.core.batch import IGNORED, TokenBatch
from textleak.core.randomness import Stream, stream
from textleak.core.update import SharedUpdate
from textleak.core.verdict import Verdict
from textleak.models.text_model import TextModel
from textleak.verdict.recompute import verify

_DRAWS = 3  # random batches that a result is compared with


def reliability_warnings(
    model: TextModel, update: SharedUpdate, batch: TokenBatch, verdict: Verdict
) -> tuple[str, ...]:
    """Why `batch` may not be what the client had; nothing where it is proven.

    Args:
        model: the public model.
        update: what was attacked.
        batch: what was recovered.
        verdict: what the update says of it.
    """
    said = _unlike_stated(update, batch)
    if verdict.word == "proven":
        return tuple(said)
    said += _assumed(update, batch)
    if verdict.word == "consistent":
        return (*said, *(f"not proven: {reason}" for reason in verdict.reasons))
    said += [f"gradient not matched (relative error {verdict.error:.1e}): nothing proves this text"]
    said += verdict.reasons
    if not verdict.error < _chance_error(model, update, batch):
        said.append("no better than random words: their gradients come as close to the shared one")
    zero = sum(not bool(gradient.any()) for gradient in update.gradients.values())
    if zero:
        said.append(f"{zero} of {len(update.gradients)} shared gradients are zero throughout")
    granted = update.metadata.threat_model
    if granted.dropout:
        said.append("dropout was on: even the true text would not give the shared gradient")
    if model.family.head.tied and model.family.embeddings.words.name in update.gradients:
        said.append("word embeddings tied to the decoder: which words were there is blurred")
    if granted.lengths and update.metadata.lengths is not None:
        said.append("lengths were granted: part of the score is no finding of the attack")
    return tuple(said)


def _unlike_stated(update: SharedUpdate, batch: TokenBatch) -> list[str]:
    """What was stated of the batch and is not so in what was recovered."""
    size, lengths = update.metadata.batch_size, update.metadata.lengths
    found = batch.lengths
    if size is not None and size != len(found):
        return [f"{len(found)} sequences were recovered, {size} stated"]
    if lengths is not None and sorted(lengths) != sorted(found):
        return [f"sequences of {sorted(found)} tokens were recovered, {sorted(lengths)} stated"]
    return []


def _assumed(update: SharedUpdate, batch: TokenBatch) -> list[str]:
    """What of the batch was taken for granted, though nothing says so."""
    facts = update.metadata
    if facts.batch_size is None and facts.lengths is None and len(batch.lengths) == 1:
        return ["taken for one sequence: neither their number nor their lengths are known"]
    return []


def _chance_error(model: TextModel, update: SharedUpdate, batch: TokenBatch) -> float:
    """The smallest gradient error of random words in the places of the recovered ones."""
    words = standing_words(model.tokenizer, masks=False)
    special = torch.tensor(sorted(set(model.tokenizer.all_special_ids)))
    draw = stream(0, "warnings", "random words")
    errors = []
    for _ in range(_DRAWS):
        labels = batch.labels
        ids = _redrawn(batch.input_ids, ~torch.isin(batch.input_ids, special), words, draw)
        if batch.by_token and model.task.words:
            labels = _redrawn(labels, labels != IGNORED, words, draw)
        random = TokenBatch(ids, batch.attention_mask, labels)
        errors.append(verify(model, update, random).error)
    return min(errors)


def _redrawn(
    ids: torch.Tensor, where: torch.Tensor, words: torch.Tensor, draw: Stream
) -> torch.Tensor:
    """`ids` with random words at the places `where`."""
    fresh = words[draw.below(len(words), ids.numel())].view_as(ids)
    return torch.where(where, fresh, ids)
