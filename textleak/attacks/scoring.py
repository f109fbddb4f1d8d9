"""The distance of whole, discrete batches from the shared update: many in one pass."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from textleak.core.batch import TokenBatch
from textleak.gradients import Matcher, Recorder
from textleak.models.text_model import TextModel


class BatchScorer:
    """Scores candidate batches that share one shape and one number of masked positions.

    Args:
        model: the public model.
        matcher: compares their gradients with the shared ones.
        chunk: how many batches go through the model in one pass.
    """

    def __init__(self, model: TextModel, matcher: Matcher, chunk: int = 16) -> None:
        self._model, self._matcher, self._chunk = model, matcher, chunk

    def __call__(self, batches: Sequence[TokenBatch]) -> Tensor:
        """Distances, (len(batches),)."""
        parts = [
            self._chunk_distances(batches[start : start + self._chunk])
            for start in range(0, len(batches), self._chunk)
        ]
        return torch.cat(parts) if parts else torch.zeros(0)

    def _chunk_distances(self, batches: Sequence[TokenBatch]) -> Tensor:
        device = self._model.device
        ids = torch.cat([batch.input_ids for batch in batches]).to(device)  # (R*B, T)
        mask = torch.cat([batch.attention_mask for batch in batches]).to(device)
        batches = [self._model.task.relabelled(batch) for batch in batches]
        labels = torch.cat([batch.labels for batch in batches]).to(device)  # (R*B, T) or (R*B,)

        def forward(recorder: Recorder) -> Tensor:
            states = self._model.states(ids, mask)
            task = self._model.task
            logits, targets = task.outputs(self._model, states, mask, labels)
            return task.candidate_losses(logits, targets, len(batches))

        return self._matcher(
            forward,
            candidates=len(batches),
            batch=len(batches[0].input_ids),
            differentiable=False,
        ).cpu()
