"""Regression: a number, or several, for each sequence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from textleak.core.batch import TokenBatch
from textleak.core.errors import DataError
from textleak.tasks.base import Chances, Label, is_number
from textleak.tasks.classification import SequenceTask

if TYPE_CHECKING:
    from textleak.models.text_model import TextModel


class Regression(SequenceTask):
    """Mean squared error; labels are (B, D) numbers."""

    name = "regression"
    problem = "regression"
    bounded = False

    cross_entropy = False

    def batch(
        self,
        model: TextModel,
        input_ids: Tensor,
        attention_mask: Tensor,
        given: Sequence[Label] | None,
        chances: Chances,
    ) -> TokenBatch:
        """Sentences with their numbers as given, or drawn from a normal distribution."""
        width, count = self.width(model), len(input_ids)
        if given is None:
            drawn = chances.stream("classes").normal(count, width)
            return TokenBatch(input_ids, attention_mask, drawn)
        rows = [list(own) if isinstance(own, Sequence) else [own] for own in given]
        if len(rows) != count or any(len(row) != width for row in rows):
            raise DataError(f"expected {width} numbers for each of {count} sentences")
        return TokenBatch(input_ids, attention_mask, torch.tensor(rows, dtype=torch.float32))

    @classmethod
    def wrong_label(cls, label: object) -> str | None:
        """A number, or a list of as many as the model has."""
        listed = label if isinstance(label, list) else [label]
        return None if all(map(is_number, listed)) else "expected a number or a list of them"

    def plain_losses(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The mean squared error of each sequence, (N,)."""
        return self.plain_soft_losses(logits, targets)

    def soft(self, variables: Tensor) -> Tensor:
        """The variables themselves."""
        return variables

    def plain_soft_losses(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The mean squared error over a sequence's numbers."""
        return (logits - targets.to(logits)).square().mean(-1)

    def fixed(self, targets: Tensor, width: int) -> Tensor:
        """They are of that form."""
        return targets

    def hard(self, targets: Tensor) -> Tensor:
        """They are of that form."""
        return targets.float()

    def rows(self, batch: TokenBatch) -> list[list[Any]]:
        """Each sequence's numbers."""
        rows: list[list[Any]] = batch.labels.tolist()
        return rows

    def texts(self, tokenizer: PreTrainedTokenizerBase, rows: list[list[Any]]) -> list[list[str]]:
        """Numbers to three digits."""
        return [[f"{label:.3g}" for label in row] for row in rows]

    def unlabelled(self, ids: Tensor) -> Tensor:
        """Zeros."""
        return torch.zeros(len(ids), 1)

    def known(self, rows: Sequence[Sequence[Any]]) -> Tensor:
        """(B, D)."""
        return torch.tensor([list(row) for row in rows], dtype=torch.float32)

    def plain_read(self, logits: Tensor, slopes: Tensor) -> Tensor:
        """A mean squared error over n sequences of D numbers has the slope 2 (z - y) / (n D)."""
        count = self.divisor(len(logits)) * logits.shape[1]
        return (logits.double() - slopes * count / 2).float()
