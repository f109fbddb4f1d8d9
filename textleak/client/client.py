"""A client: its training on private sentences between two exchanges, and what it shares of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from pydantic import BaseModel, ConfigDict, Field

from textleak.client.feeding import tokenized
from textleak.core.batch import TokenBatch
from textleak.core.randomness import derived, stream
from textleak.core.threat_model import ThreatModel
from textleak.core.update import SharedUpdate, UpdateMetadata, check_shareable, shared_names
from textleak.defences import Defences, Memory
from textleak.models.text_model import TextModel
from textleak.tasks.base import Chances, Label
from textleak.training import TrainingPlan, train


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


class Client:
    """Turns private sentences into a shared update.

    What a defence keeps from update to update (the residual of `topk`) stays with the client: call
    `share` again for its next step.

    Args:
        model: the public model.
        options: how the client trains.
        threat_model: what of the batch is granted to the attacker.
        defences: what it does to protect its sentences.
    """

    def __init__(
        self,
        model: TextModel,
        options: ClientOptions | None = None,
        threat_model: ThreatModel | None = None,
        defences: Defences | None = None,
    ) -> None:
        self.model = model
        self.options = options or ClientOptions()
        self.defences = defences or Defences()
        granted = threat_model or ThreatModel()
        granted = granted.model_copy(update={"dropout": self.options.dropout})
        self.threat_model = self.defences.assumed(granted)
        self._memory: Memory = []
        self._exchanges = 0

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

    def share(self, private: PrivateBatch) -> SharedUpdate:
        """One exchange: what the client's training gives and its defences let out.

        Raises:
            ConfigError: the defences or shared patterns do not fit the model.
            DataError: what would be shared is not finite.
        """
        batch = private.batch
        names = shared_names(self.model.parameters, self.threat_model)
        plan = self.defences.plan(names, dropout=self.options.dropout)
        seed = derived(self.options.seed, "client", "exchange", self._exchanges)
        self._exchanges += 1
        gradients = train(
            self.model.module,
            plan,
            lambda rows: self.model.loss(batch.take(rows)),
            count=len(batch.input_ids),
            seed=seed,
        )
        on_cpu = {name: gradient.cpu() for name, gradient in gradients.items()}
        update = SharedUpdate(on_cpu, self._metadata(private, plan))
        shared = self.defences.protect(update, seed=seed, memory=self._memory)
        return check_shareable(shared)

    def _segments(self, private: PrivateBatch) -> tuple[int, ...] | None:
        """Tokens of each pair up to its second segment."""
        inner = self.model.marks.inner
        if not inner:
            return None
        return tuple(ids.index(inner[0]) + len(inner) for ids in private.original_ids)

    def _metadata(self, private: PrivateBatch, plan: TrainingPlan) -> UpdateMetadata:
        batch, granted = private.batch, self.threat_model
        bearing, labels = self.model.task.places(batch), self.model.task.rows(batch)
        return UpdateMetadata(
            **self.defences.facts(plan, seeded=self.options.seed is not None),
            task=self.model.task.name,
            threat_model=granted,
            batch_size=len(batch.input_ids) if granted.batch_size else None,
            lengths=tuple(batch.lengths) if granted.lengths else None,
            segments=self._segments(private) if granted.lengths else None,
            labels=tuple(map(tuple, labels)) if granted.labels else None,
            masked_positions=tuple(map(tuple, bearing))
            if granted.masked_positions and bearing is not None
            else None,
            model=self.model.recipe,
        )
