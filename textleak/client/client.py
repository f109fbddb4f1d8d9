"""A client: its training on private sentences between two exchanges, and what it shares of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from textleak.client.base import BaseClient
from textleak.client.feeding import tokenized
from textleak.core.batch import TokenBatch
from textleak.core.randomness import stream
from textleak.core.threat_model import ThreatModel
from textleak.defences import Defences
from textleak.models.text_model import TextModel
from textleak.tasks.base import Chances, Label


class ClientOptions(BaseModel):
    """How the client trains.

    Attributes:
        mask_rate: fraction of tokens that masked-LM predicts.
        dropout: train mode, so dropout noise is in the gradient.
        seed: from which the client's chance follows (masks, classes drawn, dropout, noise), so that it
            can be repeated by whoever knows it; the operating system's where None.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mask_rate: float = Field(default=0.15, gt=0, le=1)
    dropout: bool = False
    seed: int | None = None


@dataclass(frozen=True)
class PrivateBatch:
    """The truth: what the client fed the model. Only `audit` and the metrics may see it.

    Attributes:
        batch: the tensors of the training step.
        original_ids: each sentence's token ids before masking, special tokens included.
    """

    batch: TokenBatch
    original_ids: list[list[int]]


class Client(BaseClient[PrivateBatch]):
    """Turns private sentences into a shared update.

    Args:
        model: the public model.
        options: how the client trains.
        threat_model: what of the batch is granted to the attacker.
        defences: what it does to protect its sentences.
    """

    model: TextModel

    def __init__(
        self,
        model: TextModel,
        options: ClientOptions | None = None,
        threat_model: ThreatModel | None = None,
        defences: Defences | None = None,
    ) -> None:
        self.options = options or ClientOptions()
        dropout = self.options.dropout
        granted = (threat_model or ThreatModel()).model_copy(update={"dropout": dropout})
        super().__init__(model, granted, defences, self.options.seed, dropout=dropout)

    def prepare(
        self, sentences: Sequence[str], labels: Sequence[Label] | None = None
    ) -> PrivateBatch:
        """Tokenize one batch of sentences, or pairs, and mask or label it as the task does.

        Raises:
            DataError: an empty or too long sentence, or labels that do not fit.
        """
        encoded = tokenized(self.model, sentences)
        input_ids, attention_mask = encoded["input_ids"], encoded["attention_mask"]
        original = TokenBatch(input_ids, attention_mask, torch.zeros(0)).rows()
        chances = Chances(partial(stream, self.options.seed, "client"), self.options.mask_rate)
        fed = self.model.task.batch(self.model, input_ids, attention_mask, labels, chances)
        return PrivateBatch(fed, original)

    def count(self, private: PrivateBatch) -> int:
        """How many sequences there are."""
        return len(private.batch.input_ids)

    def loss(self, private: PrivateBatch, rows: Sequence[int]) -> Tensor:
        """The training loss of the sequences with the indices `rows`."""
        return self.model.loss(private.batch.take(rows))

    def facts(self, private: PrivateBatch) -> dict[str, Any]:
        """The task, and what is granted of lengths, labels and masks."""
        batch, granted = private.batch, self.threat_model
        bearing, labels = self.model.task.places(batch), self.model.task.rows(batch)
        masked = granted.masked_positions and bearing is not None
        return dict(
            task=self.model.task.name,
            lengths=tuple(batch.lengths) if granted.lengths else None,
            segments=self._segments(private) if granted.lengths else None,
            labels=tuple(map(tuple, labels)) if granted.labels else None,
            masked_positions=tuple(map(tuple, bearing or ())) if masked else None,
        )

    def _segments(self, private: PrivateBatch) -> tuple[int, ...] | None:
        """Tokens of each pair up to its second segment."""
        inner = self.model.marks.inner
        if not inner:
            return None
        return tuple(ids.index(inner[0]) + len(inner) for ids in private.original_ids)
