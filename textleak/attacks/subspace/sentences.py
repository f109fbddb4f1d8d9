"""Sentences as tensors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from textleak.core.batch import length_mask


def pad_sentences(sentences: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Ids and attention mask (S, T) of sentences of any lengths."""
    mask = length_mask([len(row) for row in sentences])
    ids = torch.full(mask.shape, pad)
    for i, row in enumerate(sentences):
        ids[i, : len(row)] = torch.tensor(list(row))
    return ids, mask
