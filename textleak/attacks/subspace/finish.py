"""From sentences to the training step: labels, repeats, the order of the batch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from textleak.evidence.labels import class_counts, logit_gradients
from textleak.models import bert_parts as parts
from textleak.models.batch import TokenBatch, length_mask
from textleak.models.text_model import TextModel
from textleak.reconstruction import Candidate
from textleak.update import SharedUpdate


def pad_sentences(sentences: list[tuple[int, ...]], pad: int) -> tuple[Tensor, Tensor]:
    """Ids and attention mask (S, T) of sentences of any lengths."""
    mask = length_mask([len(row) for row in sentences])
    ids = torch.full(mask.shape, pad)
    for i, row in enumerate(sentences):
        ids[i, : len(row)] = torch.tensor(row)
    return ids, mask


def finish_classification(
    model: TextModel,
    update: SharedUpdate,
    sentences: list[tuple[int, ...]],
    stages: tuple[str, ...],
) -> Candidate:
    """Labels and repeats of the distinct sentences found."""
    ids, mask = pad_sentences(sentences, int(model.tokenizer.pad_token_id))
    states: list[Tensor] = []
    classifier = model.module.get_submodule(parts.CLASSIFIER.rstrip("."))
    handle = classifier.register_forward_pre_hook(lambda _, inputs: states.append(inputs[0]))
    try:
        with torch.no_grad():
            encoded = model.adapter.encode(model.module, input_ids=ids, attention_mask=mask)
            logits = model.adapter.head(model.module, encoded, model.task)
    finally:
        handle.remove()
    shared = update.gradients
    weight = shared.get(parts.CLASSIFIER + "weight")
    granted = update.metadata.batch_size
    if weight is None:
        counts = F.one_hot(logits.argmax(1), logits.shape[1])
    else:
        bias = shared.get(parts.CLASSIFIER + "bias")
        gradients = logit_gradients(weight, bias, states[0])
        counts = class_counts(gradients, logits.double().softmax(1), granted).counts
    rows = [(s, c) for s, row in enumerate(counts.long().tolist()) for c, n in enumerate(row)
            for _ in range(n)]
    order = torch.tensor([s for s, _ in rows])
    batch = TokenBatch(ids[order], mask[order], torch.tensor([c for _, c in rows]))
    return Candidate(batch, [[1.0] * n for n in batch.lengths], 0.0, notes=stages)
