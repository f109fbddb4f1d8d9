"""What every client does, whatever it trains on: train, share, protect."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Generic, TypeVar

from torch import Tensor

from textleak.core.randomness import derived
from textleak.core.threat_model import ThreatModel
from textleak.core.update import SharedUpdate, UpdateMetadata, check_shareable, shared_names
from textleak.defences import Defences, Memory
from textleak.training import train

PrivateT = TypeVar("PrivateT")


class BaseClient(ABC, Generic[PrivateT]):
    """Turns private data into a shared update.

    What a defence keeps from update to update (the residual of `topk`) stays with the client: call
    `share` again for its next step.

    Args:
        model: the public model.
        threat_model: what of the batch is granted to the attacker.
        defences: what the client does to protect its data.
        seed: from which its chance follows; the operating system's where None.
        dropout: whether it trains with dropout on.
    """

    def __init__(
        self,
        model: Any,
        threat_model: ThreatModel,
        defences: Defences | None,
        seed: int | None,
        *,
        dropout: bool = False,
    ) -> None:
        self.model = model
        self.defences = defences or Defences()
        self.threat_model = self.defences.assumed(threat_model)
        self._seed, self._dropout = seed, dropout
        self._memory: Memory = []
        self._exchanges = 0

    def share(self, private: PrivateT) -> SharedUpdate:
        """One exchange: what the client's training gives and its defences let out.

        Raises:
            ConfigError: the defences or shared patterns do not fit the model.
            DataError: what would be shared is not finite.
        """
        names = shared_names(self.model.parameters, self.threat_model)
        plan = self.defences.plan(names, dropout=self._dropout)
        seed = derived(self._seed, "client", "exchange", self._exchanges)
        self._exchanges += 1
        gradients = train(
            self.model.module,
            plan,
            lambda rows: self.loss(private, rows),
            count=self.count(private),
            seed=seed,
        )
        on_cpu = {name: gradient.cpu() for name, gradient in gradients.items()}
        metadata = UpdateMetadata(
            **self.defences.facts(plan, seeded=self._seed is not None),
            threat_model=self.threat_model,
            batch_size=self.count(private) if self.threat_model.batch_size else None,
            model=self.model.recipe,
            **self.facts(private),
        )
        shared = self.defences.protect(
            SharedUpdate(on_cpu, metadata), seed=seed, memory=self._memory
        )
        return check_shareable(shared)

    @abstractmethod
    def count(self, private: PrivateT) -> int:
        """How many sequences or images there are."""

    @abstractmethod
    def loss(self, private: PrivateT, rows: Any) -> Tensor:
        """The training loss of those with the indices `rows`."""

    @abstractmethod
    def facts(self, private: PrivateT) -> dict[str, Any]:
        """The task, and what else of the batch is granted."""
