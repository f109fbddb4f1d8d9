"""One sequence's part of an update beside its competitors', many in a pass."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from textleak.core.batch import IGNORED, TokenBatch
from textleak.core.randomness import stream
from textleak.gradients.contrast import Contrasts, Inner
from textleak.gradients.matcher import Recorder
from textleak.models.text_model import TextModel
from textleak.verdict.neighbours import stacked


class Parts:
    """Compares what sequences add to an update.

    Args:
        model: the public model.
        names: the shared parameters.
        batch: the whole batch, whose number of items says what one weighs in its mean loss.
    """

    def __init__(self, model: TextModel, names: Sequence[str], batch: TokenBatch) -> None:
        self._model = model
        self._contrasts = Contrasts(model.module, names)
        mean = model.task.options.reduction == "mean"
        self.share = 1 / max(batch.items, 1) if mean else 1.0
        self.names = self._contrasts.names

    def inner(self, own: TokenBatch, others: Sequence[TokenBatch], at_once: int) -> Inner:
        """Inner products of the parts of `own` and the others, in this order; (P, 1 + len(others))."""
        found: list[Inner] = []
        for start in range(0, max(len(others), 1), at_once):
            group = stacked([own, *others[start : start + at_once]], self._pad)
            group = group.to(self._model.device)

            def forward(recorder: Recorder, group: TokenBatch = group) -> Tensor:
                return self._losses(self._model.encode(group), group)

            one = self._contrasts.inner(forward, len(group.input_ids))
            found.append(one if not found else Inner(one.dot[:, 1:], one.squared[:, 1:]))
        return Inner(
            torch.cat([one.dot for one in found], 1), torch.cat([one.squared for one in found], 1)
        )

    def probes(self, own: TokenBatch, weights: Sequence[float], count: int) -> Tensor:
        """Slopes of `count` random projections of a sequence's part at its word embeddings, (R, T, H).

        Args:
            own: one sequence.
            weights: a factor on each of `names`.
            count: R.
        """
        group = stacked([own] * count, self._pad).to(self._model.device)
        table = self._model.word_table.detach()
        points = table[group.input_ids].requires_grad_()  # (R, T, H)

        def forward(recorder: Recorder) -> Tensor:
            states = self._model.family.encode(
                inputs_embeds=points,
                attention_mask=group.attention_mask,
                token_types=self._model.token_types(group.input_ids),
            )
            return self._losses(states, group)

        given = dict(zip(self.names, weights, strict=True))
        draws = stream(0, "likelihood", "probes")
        found = self._contrasts.projected(forward, count, draws, given)
        (slopes,) = torch.autograd.grad(found.sum(), points)
        return slopes

    @property
    def _pad(self) -> int:
        return int(self._model.tokenizer.pad_token_id)

    def _losses(self, states: Tensor, group: TokenBatch) -> Tensor:
        """What each sequence adds to the batch's loss, (R,)."""
        task = self._model.task
        logits, targets = task.outputs(self._model, states, group.attention_mask, group.labels)
        losses = self.share * task.losses(logits, targets)
        count = len(group.input_ids)
        if not group.by_token:
            return losses.reshape(count, -1).sum(1)
        rows = (group.labels != IGNORED).nonzero()[:, 0]
        return losses.new_zeros(count).index_add(0, rows, losses)
