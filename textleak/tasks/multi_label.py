"""Classification of sequences with any number of labels each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from textleak.core.batch import TokenBatch
from textleak.core.errors import DataError
from textleak.tasks.base import Chances, Label, is_whole
from textleak.tasks.classification import SequenceTask

if TYPE_CHECKING:
    from textleak.models.text_model import TextModel


class MultiLabel(SequenceTask):
    """Any number of labels a sequence, binary cross-entropy; labels are (B, C) zeros and ones.

    In files and options a sequence's labels are the list of those that it has.
    """

    name = "multi-label"
    problem = "multi_label_classification"

    cross_entropy = False

    def batch(
        self,
        model: TextModel,
        input_ids: Tensor,
        attention_mask: Tensor,
        given: Sequence[Label] | None,
        chances: Chances,
    ) -> TokenBatch:
        """Sentences with their labels as given, or drawn by fair coins."""
        classes, count = self.width(model), len(input_ids)
        if given is None:
            drawn = chances.stream("classes").below(2, count * classes).view(count, classes)
            return TokenBatch(input_ids, attention_mask, drawn.float())
        if len(given) != count:
            raise DataError(f"expected labels of {count} sentences, got {len(given)}")
        labels = torch.zeros(count, classes)
        for row, own in enumerate(given):
            for label in own if isinstance(own, Sequence) else (own,):
                if not isinstance(label, int) or not 0 <= label < classes:
                    raise DataError(f"labels must lie between 0 and {classes - 1}, got {own}")
                labels[row, label] = 1
        return TokenBatch(input_ids, attention_mask, labels)

    @classmethod
    def wrong_label(cls, label: object) -> str | None:
        """A label alone, or a list of them."""
        listed = label if isinstance(label, list) else [label]
        fits = all(map(is_whole, listed))
        return None if fits else "expected a list of whole numbers"

    def plain_losses(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The mean binary cross-entropy over the labels of each sequence, (N,)."""
        return self.plain_soft_losses(logits, targets)

    def soft(self, variables: Tensor) -> Tensor:
        """Each label's probability."""
        return variables.sigmoid()

    def plain_soft_losses(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The mean binary cross-entropy over labels."""
        targets = targets.to(logits).expand_as(logits)
        return F.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(-1)

    def fixed(self, targets: Tensor, width: int) -> Tensor:
        """They are of that form."""
        return targets

    def hard(self, targets: Tensor) -> Tensor:
        """Labels that are more likely than not."""
        return (targets > 0.5).float()

    def rows(self, batch: TokenBatch) -> list[list[Any]]:
        """Which labels each sequence has."""
        return [row.gt(0).nonzero().flatten().tolist() for row in batch.labels]

    def unlabelled(self, ids: Tensor) -> Tensor:
        """No labels."""
        return torch.zeros(len(ids), 1)

    def known(self, rows: Sequence[Sequence[Any]]) -> Tensor:
        """(B, C) zeros and ones up to the highest label that is granted."""
        width = 1 + max((label for row in rows for label in row), default=0)
        targets = torch.zeros(len(rows), width)
        for at, row in enumerate(rows):
            targets[at, list(row)] = 1
        return targets

    def plain_read(self, logits: Tensor, slopes: Tensor) -> Tensor:
        """A mean binary cross-entropy over n sequences of C labels has the slope (p - y) / (n C)."""
        count = self.divisor(len(logits)) * logits.shape[1]
        likely = logits.double().sigmoid() - slopes * count
        return (likely > 0.5).float()

    def moves(self, model: TextModel, labels: Tensor) -> list[tuple[tuple[int, ...], float]]:
        """Every label given or taken."""
        return [
            ((row, at), 1 - float(labels[row, at]))
            for row in range(labels.shape[0])
            for at in range(labels.shape[1])
        ]

    def other(self, model: TextModel, labels: Tensor, alone: bool) -> Tensor | None:
        """The first label given or taken."""
        changed = labels.clone()
        changed[:, 0] = 1 - changed[:, 0]
        return changed
