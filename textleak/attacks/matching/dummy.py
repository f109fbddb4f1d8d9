"""The dummy input: free embeddings, or soft distributions over words."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from textleak.attacks.matching.facts import Facts
from textleak.attacks.matching.nearest import Metric, Nearest, nearest_words
from textleak.gradients import Recorder
from textleak.models.text_model import TextModel


class Dummy(Protocol):
    """The input of R dummy batches as variables (R, size)."""

    size: int

    def start(self, restarts: int) -> Tensor:
        """The variables to begin with, (R, size)."""

    def embeddings(self, variables: Tensor, recorder: Recorder) -> Tensor:
        """What stands in for the word embeddings, (R*B, T, H)."""

    def nearest(self, variables: Tensor, k: int) -> Nearest:
        """The k nearest words at each free place of one batch's variables (size,)."""


class DummyEmbeddings:
    """Free embeddings (N, H) at the free places (DLG, eq. 3).

    Args:
        model: the public model.
        facts: the frame of the batch.
        metric: how the nearest word is measured.
        scale: standard deviation of the start, in units of `unit`.
        unit: what a variable of 1 means in an embedding; the word table's spread where None.
    """

    def __init__(
        self,
        model: TextModel,
        facts: Facts,
        metric: Metric,
        *,
        scale: float = 1.0,
        unit: float | None = None,
    ) -> None:
        table = model.word_table.detach()
        self._table, self._facts, self._scale, self._metric = table, facts, scale, metric
        self._spread = table.std() if unit is None else unit
        self._fixed = table[facts.frame.clamp_min(0)]  # (B, T, H)
        self.size = facts.places * table.shape[1]

    def start(self, restarts: int) -> Tensor:
        """Normal noise, (R, size)."""
        return self._scale * torch.randn(restarts, self.size)

    def embeddings(self, variables: Tensor, recorder: Recorder) -> Tensor:
        """What stands in for the word embeddings, (R*B, T, H)."""
        rows = variables.reshape(len(variables), self._facts.places, -1) * self._spread  # (R, N, H)
        whole = self._fixed.repeat(len(rows), 1, 1, 1)  # (R, B, T, H)
        whole[:, self._facts.free] = rows.to(whole)
        return whole.flatten(0, 1)

    def nearest(self, variables: Tensor, k: int) -> Nearest:
        """The k nearest words at each free place of one batch's variables (size,)."""
        rows = variables.view(self._facts.places, -1) * self._spread
        return nearest_words(rows, self._table, self._facts.words, k=k, metric=self._metric)


class DummyTokens:
    """Soft distributions over the possible words at the free places: logits (N, W).

    The word table's gradient then has its input part, so it takes part in the matching.
    """

    def __init__(self, model: TextModel, facts: Facts) -> None:
        self._name, self._facts = model.family.embeddings.words.name, facts
        self._dtype = model.word_table.dtype
        frame = torch.tensor(
            sorted(set(facts.frame[~facts.free].tolist()) - set(facts.words.tolist()))
        )
        self._rows = torch.cat([facts.words, frame])  # (C,) table rows in use
        where = {int(row): index for index, row in enumerate(self._rows)}
        self._fixed = torch.zeros(*facts.frame.shape, len(self._rows))  # (B, T, C)
        for row, place in (~facts.free).nonzero().tolist():
            self._fixed[row, place, where[int(facts.frame[row, place])]] = 1
        self._shape = (facts.places, len(facts.words))
        self.size = facts.places * len(facts.words)

    def start(self, restarts: int) -> Tensor:
        """Normal noise, (R, size)."""
        return torch.randn(restarts, self.size)

    def embeddings(self, variables: Tensor, recorder: Recorder) -> Tensor:
        """What stands in for the word embeddings, (R*B, T, H)."""
        soft = variables.reshape(-1, *self._shape).softmax(-1)  # (R, N, W)
        whole = self._fixed.to(soft).repeat(len(soft), 1, 1, 1)  # (R, B, T, C)
        whole[:, self._facts.free] = F.pad(soft, (0, len(self._rows) - self._shape[1]))
        return recorder.lookup(
            self._name, whole.flatten(0, 1).to(self._dtype), self._rows.to(whole.device)
        )

    def nearest(self, variables: Tensor, k: int) -> Nearest:
        """The k most probable words at each free place; the distance is 1 - probability."""
        soft = variables.view(self._shape).softmax(-1)
        best = soft.topk(min(k, self._shape[1]), dim=1)
        return Nearest(self._facts.words[best.indices.cpu()], 1 - best.values.cpu())
