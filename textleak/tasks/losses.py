"""The losses of a task's items, hard and soft, and their mean or sum over batches."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from textleak.core.loss import LossOptions
from textleak.tasks.own_loss import OwnLoss


class Losses:
    """A cross-entropy over classes, unless a task or its user has another loss.

    Attributes:
        options: how the loss is taken.
        own: one's own loss of items, in the place of the task's.
    """

    options: LossOptions
    own: OwnLoss | None

    def losses(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss of each item, (n,), with class weights but before any mean."""
        if self.own is not None:
            return self.own(logits, self.fixed(targets, logits.shape[-1]).to(logits))
        return self.plain_losses(logits, targets)

    def plain_losses(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The same of the task's own loss."""
        return F.cross_entropy(
            logits,
            targets,
            weight=self._weights(logits),
            label_smoothing=self.options.smoothing,
            reduction="none",
        )

    def candidate_losses(self, logits: Tensor, targets: Tensor, candidates: int) -> Tensor:
        """The loss of each of R batches of equal size, (R,), from all their items in order."""
        losses = self.losses(logits, targets).view(candidates, -1)
        if self.options.reduction == "sum":
            return losses.sum(1)
        weights = self._weights(logits)
        if weights is None:
            return losses.mean(1)
        return losses.sum(1) / weights[targets].view(candidates, -1).sum(1)

    def _weights(self, like: Tensor) -> Tensor | None:
        given = self.options.weights
        return None if given is None else torch.tensor(given).to(like)

    def soft(self, variables: Tensor) -> Tensor:
        """Free variables (..., C) as soft targets."""
        return variables.softmax(-1)

    def soft_losses(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss of items (...,) at soft targets (..., C)."""
        if self.own is not None:
            return self.own(logits, targets.to(logits).expand_as(logits))
        return self.plain_soft_losses(logits, targets)

    def plain_soft_losses(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The same of the task's own loss."""
        scores = logits.log_softmax(-1)
        weights = self._weights(logits)
        if weights is not None:
            scores = scores * weights
        return -(self.smoothed(targets) * scores).sum(-1)

    def smoothed(self, targets: Tensor) -> Tensor:
        """Soft targets (..., C) as the loss has them."""
        spread = self.options.smoothing
        return targets if not spread else (1 - spread) * targets + spread / targets.shape[-1]

    def reduced(self, losses: Tensor, targets: Tensor) -> Tensor:
        """The loss of each of R batches, (R,), from those of their items (R, n).

        Args:
            losses: from `soft_losses`.
            targets: the soft targets (..., n, C).
        """
        weights = self._weights(losses)
        if self.options.reduction == "sum":
            return losses.sum(1)
        if weights is None:
            return losses.mean(1)
        return losses.sum(1) / (targets.to(weights) @ weights).sum(-1)

    def divisor(self, items: int) -> int:
        """By what the losses of so many items were divided."""
        return items if self.options.reduction == "mean" else 1

    def fixed(self, targets: Tensor, width: int) -> Tensor:
        """Known targets (n,) as soft ones, (n, C)."""
        return F.one_hot(targets, width)
