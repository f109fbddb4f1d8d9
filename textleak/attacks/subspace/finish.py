"""From sentences to the training step: labels, repeats, the order of the batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from textleak.core.batch import IGNORED, TokenBatch, padded
from textleak.core.reconstruction import Candidate
from textleak.core.update import SharedUpdate
from textleak.evidence.labels import class_counts, evident_labels, logit_gradients
from textleak.evidence.masks import label_counts, loss_bearing
from textleak.models.inputs import inputs_of
from textleak.models.text_model import TextModel
from textleak.tasks.own_loss import alike

Sentence = tuple[int, ...]


def finish_sequences(
    model: TextModel,
    update: SharedUpdate,
    confidence: Mapping[Sentence, list[float]],
    stages: tuple[str, ...],
) -> Candidate:
    """Labels and repeats of the distinct sentences found, each with its tokens' confidence."""
    sentences = list(confidence)
    ids, mask = padded(sentences, int(model.tokenizer.pad_token_id))
    classifier = model.family.head.output
    with torch.no_grad(), inputs_of(classifier.layer) as states:
        encoded = model.states(ids, mask)
        logits = model.family.class_logits(encoded, mask)
    weight = classifier.of(update.gradients)
    if not model.task.one_class:
        batch = evident_labels(model, update, TokenBatch(ids, mask, model.task.unlabelled(ids)))
        return Candidate(batch, list(confidence.values()), 0.0, notes=stages)
    granted = update.metadata.batch_size
    if granted is not None and granted < len(sentences):
        granted = None  # it is contradicted by what was found
    if weight is None:
        counts = F.one_hot(logits.argmax(1), logits.shape[1])
    else:
        bias = classifier.bias_of(update.gradients)
        gradients = logit_gradients(weight, bias, states[0])
        counts = _counts(model, gradients, logits, granted)
    if int(counts.sum()) == 0:
        counts = F.one_hot(logits.argmax(1), logits.shape[1])
    rows = [
        (s, c)
        for s, row in enumerate(counts.long().tolist())
        for c, n in enumerate(row)
        for _ in range(n)
    ]
    order = torch.tensor([s for s, _ in rows])
    batch = TokenBatch(ids[order], mask[order], torch.tensor([c for _, c in rows]))
    sure = [confidence[sentences[s]] for s, _ in rows]
    return Candidate(batch, sure, 0.0, notes=stages)


def _counts(model: TextModel, gradients: Tensor, logits: Tensor, size: int | None) -> Tensor:
    """How often each sentence stands with each class, (S, C); see `class_counts`.

    With smoothing s the slopes are those of plain targets, times 1 - s, at (p - s / C) / (1 - s). Under
    class weights no count makes them whole: each sentence is taken to stand once, with the class whose
    slope points as its own does; and so under a loss of one's own.
    """
    spread = model.task.options.smoothing
    if model.task.own is not None:
        return F.one_hot(alike(model.task.own, logits, gradients), logits.shape[1])
    expected = logits.double().softmax(1)
    if model.task.options.weights is not None:
        alone = expected[:, None] - model.task.smoothed(torch.eye(expected.shape[1]).double())
        return F.one_hot(
            F.cosine_similarity(gradients[:, None], alone, dim=2).argmax(1), alone.shape[2]
        )
    plain = (expected - spread / expected.shape[1]) / (1 - spread)
    return class_counts(gradients / (1 - spread), plain, size).counts


def finish_masked(
    model: TextModel,
    update: SharedUpdate,
    confidence: Mapping[Sentence, list[float]],
    stages: tuple[str, ...],
) -> Candidate:
    """Masked positions and the words under them, of sentences with their tokens' confidence."""
    sentences = list(confidence)
    sure = list(confidence.values())
    ids, mask = padded(sentences, int(model.tokenizer.pad_token_id))
    head = model.family.head
    dense = None if head.dense is None else head.dense.of(update.gradients)
    labels = torch.full_like(ids, IGNORED)
    masked = ids == int(model.tokenizer.mask_token_id)
    labels[masked] = ids[masked]
    unlabelled = Candidate(TokenBatch(ids, mask, labels), sure, 0.0, notes=stages)
    if dense is None:
        return unlabelled
    with torch.no_grad():
        states = model.states(ids, mask)
    places = mask.nonzero()  # (N, 2)
    tokens = states[mask.bool()]
    bearing = loss_bearing(dense, tokens)
    bias_gradient = head.output.bias_of(update.gradients)
    if bias_gradient is None:
        candidates = torch.tensor(sorted({w for row in sentences for w in row}))
    else:  # the true words' entries are negative; noise makes others so, but there are no more labels than tokens
        lowest = bias_gradient.sort()
        candidates = lowest.indices[lowest.values < 0][: len(tokens)].sort().values
    if not len(bearing) or not len(candidates):
        return unlabelled
    counts = label_counts(dense, head, tokens[bearing], candidates)
    words_at: list[dict[int, list[int]]] = [{} for _ in sentences]
    for (s, place), times in zip(places[bearing].tolist(), counts, strict=True):
        words_at[s][place] = candidates.repeat_interleave(times.to(candidates)).tolist()
    copies = [max(map(len, words.values()), default=1) for words in words_at]
    rows = [(s, copy) for s, count in enumerate(copies) for copy in range(count)]
    order = torch.tensor([s for s, _ in rows])
    labels = torch.full_like(ids[order], IGNORED)
    for row, (s, copy) in enumerate(rows):
        for place, words in words_at[s].items():
            labels[row, place] = words[min(copy, len(words) - 1)]
    batch = TokenBatch(ids[order], mask[order], labels)
    return Candidate(batch, [sure[s] for s, _ in rows], 0.0, notes=stages)


Finish = Callable[
    [TextModel, SharedUpdate, Mapping[Sentence, list[float]], tuple[str, ...]], Candidate
]
FINISHES: dict[str, Finish] = {"sequences": finish_sequences, "places": finish_masked}
