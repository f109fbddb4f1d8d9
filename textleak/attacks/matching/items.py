"""Soft labels of tasks that do not hide what bears loss: of sequences, of tokens, of the next token."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from textleak.attacks.matching.facts import Facts
from textleak.attacks.matching.options import MatchingOptions
from textleak.core.batch import IGNORED
from textleak.core.update import SharedUpdate
from textleak.models.text_model import TextModel


class SoftLabels(Protocol):
    """Soft labels of R dummy batches as variables (R, size)."""

    size: int

    def start(self, restarts: int) -> Tensor:
        """The variables to begin with, (R, size)."""

    def loss(self, states: Tensor, variables: Tensor) -> Tensor:
        """The loss of each dummy batch, (R,), from its hidden states (R*B, T, H)."""

    def decide(self, variables: Tensor) -> Tensor:
        """Hard labels from one batch's variables (size,), shaped as in TokenBatch."""


def open_labels(
    model: TextModel, update: SharedUpdate, facts: Facts, options: MatchingOptions
) -> SoftLabels:
    """The labels of a task of which every sequence, or every token, bears loss."""
    if model.task.words:
        return NextLabels(model, facts)
    granted, known = update.metadata.labels, None
    bias = model.family.head.output.bias_of(update.gradients)
    if options.labels == "known" and granted is not None:
        known = model.task.known(granted)
    elif read_off(model, options) and model.task.one_class and facts.sequences == 1:
        # softmax - one-hot is negative at the label alone
        known = None if bias is None else bias.argmin().reshape(1)
    return ItemLabels(model, facts, known)


def read_off(model: TextModel, options: MatchingOptions) -> bool:
    """Whether labels are read off the head's gradient: not under a loss of one's own, whose slopes differ."""
    return options.labels == "analytic" and model.task.own is None


class ItemLabels:
    """A target for each sequence, or each free token: fixed where known, else soft (DLG, eq. 4).

    Args:
        model: the public model.
        facts: the frame of the batch.
        known: targets of all items, or None to optimise variables (items, C).
    """

    def __init__(self, model: TextModel, facts: Facts, known: Tensor | None) -> None:
        self._model, self._facts, self._known = model, facts, known
        self._places = torch.where(facts.free, 0, IGNORED)  # (B, T)
        by_token = model.task.bears == "tokens"
        self._by_token = by_token
        self._shape = (facts.places if by_token else facts.sequences, model.task.width(model))
        self.size = 0 if known is not None else self._shape[0] * self._shape[1]

    def start(self, restarts: int) -> Tensor:
        """The variables to begin with, (R, size)."""
        return torch.randn(restarts, self.size)

    def loss(self, states: Tensor, variables: Tensor) -> Tensor:
        """The loss of each dummy batch, (R,), from its hidden states (R*B, T, H)."""
        task, restarts = self._model.task, len(variables)
        mask = self._facts.attention_mask.repeat(restarts, 1).to(states.device)
        where = self._places.repeat(restarts, 1).to(states.device)
        logits, _ = task.outputs(self._model, states, mask, where)
        logits = logits.view(restarts, *self._shape)  # (R, n, C)
        if self._known is not None:
            target = task.fixed(self._known, self._shape[1]).to(logits)
        else:
            target = task.soft(variables.view(-1, *self._shape))
        return task.reduced(task.soft_losses(logits, target), target)

    def decide(self, variables: Tensor) -> Tensor:
        """Hard labels from one batch's variables (size,)."""
        if self._known is not None:
            found = self._known
        else:
            task = self._model.task
            found = task.hard(task.soft(variables.detach().view(self._shape))).cpu()
        if not self._by_token:
            return found
        labels = self._places.clone()
        labels[self._facts.free] = found
        return labels


class NextLabels:
    """The token that follows each: soft over the possible words, fixed where the frame says it."""

    def __init__(self, model: TextModel, facts: Facts) -> None:
        self._model, self._facts = model, facts
        follows = facts.attention_mask[:, 1:].bool()
        self._bearing = torch.zeros_like(facts.frame, dtype=torch.bool)
        self._bearing[:, :-1] = follows
        next_ids = facts.frame[:, 1:][follows]  # (n,) -1 where a word is wanted
        self._soft = next_ids < 0
        self._fixed = next_ids.clamp_min(0)
        self._shape = (int(self._soft.sum()), len(facts.words))
        self.size = self._shape[0] * self._shape[1]

    def start(self, restarts: int) -> Tensor:
        """The variables to begin with, (R, size)."""
        return torch.randn(restarts, self.size)

    def loss(self, states: Tensor, variables: Tensor) -> Tensor:
        """The loss of each dummy batch, (R,), from its hidden states (R*B, T, H)."""
        restarts = len(variables)
        bearing = self._bearing.repeat(restarts, 1).to(states.device)
        logits = self._model.family.word_logits(states[bearing])
        scores = logits.log_softmax(-1).view(restarts, len(self._fixed), -1)  # (R, n, V)
        target = variables.view(-1, *self._shape).softmax(-1)  # (R, m, W)
        soft = (target * scores[:, self._soft][..., self._facts.words]).sum(-1)
        sure = scores[:, ~self._soft].gather(
            2, self._fixed[~self._soft].to(scores.device).expand(restarts, -1)[..., None]
        )
        spread, count = self._model.task.options.smoothing, len(self._fixed)
        chosen = (1 - spread) * (soft.sum(1) + sure.sum((1, 2))) + spread * scores.mean(-1).sum(1)
        return -chosen / self._model.task.divisor(count)

    def decide(self, variables: Tensor) -> Tensor:
        """Nothing is decided here: labels follow from the words."""
        return torch.full_like(self._facts.frame, IGNORED)
