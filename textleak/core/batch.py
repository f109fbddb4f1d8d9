"""A padded batch of token ids with what the training loss needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

IGNORED = -100  # the label of a position that bears no loss, as in torch's cross-entropy


@dataclass(frozen=True)
class TokenBatch:
    """What one training step feeds the model.

    Attributes:
        input_ids: (B, T) token ids, padded.
        attention_mask: (B, T) ones at tokens, zeros at padding.
        labels: as the task has them: (B, T) ids of words or of tokens' classes, IGNORED where no
            loss is taken; (B,) class indices; or (B, C) numbers of whole sequences.
    """

    input_ids: Tensor
    attention_mask: Tensor
    labels: Tensor

    def to(self, device: torch.device) -> TokenBatch:
        """The same batch on `device`."""
        return TokenBatch(
            self.input_ids.to(device), self.attention_mask.to(device), self.labels.to(device)
        )

    def take(self, rows: Sequence[int]) -> TokenBatch:
        """The sequences with these indices."""
        at = list(rows)
        return TokenBatch(self.input_ids[at], self.attention_mask[at], self.labels[at])

    @property
    def by_token(self) -> bool:
        """Whether labels stand at tokens, (B, T); whole sequences' numbers are floating."""
        return self.labels.dim() == 2 and not self.labels.is_floating_point()

    @property
    def bearing(self) -> list[bool]:
        """Whether each sequence bears any loss."""
        if not self.by_token:
            return [True] * len(self.labels)
        return [bool(bears) for bears in (self.labels != IGNORED).any(1)]

    @property
    def items(self) -> int:
        """What a mean loss is taken over: sequences, or the positions that bear loss."""
        return int((self.labels != IGNORED).sum()) if self.by_token else len(self.labels)

    @property
    def lengths(self) -> list[int]:
        """Tokens of each sequence, special tokens included."""
        return [int(n) for n in self.attention_mask.sum(1)]

    def rows(self) -> list[list[int]]:
        """The token ids of each sequence without its padding."""
        return [row[:n].tolist() for row, n in zip(self.input_ids, self.lengths, strict=True)]


def length_mask(lengths: Sequence[int]) -> Tensor:
    """The (B, T) attention mask of sequences with these lengths, padded to the longest.

    >>> length_mask([2, 3]).tolist()
    [[1, 1, 0], [1, 1, 1]]
    """
    width = max(lengths)
    return (torch.arange(width)[None, :] < torch.tensor(list(lengths))[:, None]).long()


def padded(rows: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Rows of any lengths as (B, T) ids, and their attention mask.

    >>> [tensor.tolist() for tensor in padded([[5], [6, 7]], 0)]
    [[[5, 0], [6, 7]], [[1, 0], [1, 1]]]
    """
    mask = length_mask([len(row) for row in rows])
    ids = torch.full_like(mask, pad)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = torch.tensor(list(row), dtype=ids.dtype)
    return ids, mask
