"""BERT's masking (Devlin et al. 2019, section 3.1, task 1): 15%; of these 80/10/10."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

from textleak.core.batch import IGNORED
from textleak.core.randomness import Stream


def mask_tokens(
    input_ids: Tensor,
    *,
    special: Collection[int],
    mask_id: int,
    words: Tensor,
    draws: Stream,
    rate: float = 0.15,
) -> tuple[Tensor, Tensor]:
    """Choose positions to predict and corrupt them as BERT does.

    In every sequence `max(1, round(rate * tokens))` positions are chosen, as in BERT's own data
    preparation; of these 80% become [MASK], 10% a random word, 10% stay.

    Args:
        input_ids: (B, T) token ids, padded.
        special: ids at which no loss is ever taken ([CLS], [SEP], [PAD]).
        mask_id: the id of [MASK].
        words: (W,) the ids that a random replacement is drawn from.
        draws: the source of randomness.
        rate: the fraction of tokens to predict.

    Returns:
        The corrupted ids (B, T), and labels (B, T) with IGNORED where no loss is taken.
    """
    corrupted = input_ids.clone()
    labels = torch.full_like(input_ids, IGNORED)
    ordinary = ~torch.isin(input_ids, torch.tensor(sorted(special)))
    for row in range(len(input_ids)):
        places = ordinary[row].nonzero().flatten()
        count = min(len(places), max(1, round(rate * len(places))))
        chosen = places[draws.permutation(len(places))[:count]]
        labels[row, chosen] = input_ids[row, chosen]
        draw = draws.uniform(count)
        corrupted[row, chosen[draw < 0.8]] = mask_id
        randomised = chosen[(draw >= 0.8) & (draw < 0.9)]
        corrupted[row, randomised] = words[draws.below(len(words), len(randomised))]
    return corrupted, labels
