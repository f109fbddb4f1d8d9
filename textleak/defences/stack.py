"""Several defences at once: those in the client's training first, then those on its update."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from textleak.core.bounds import MOST_DEFENCES
from textleak.core.errors import ConfigError
from textleak.core.privacy import PrivacyGuarantee
from textleak.core.threat_model import ThreatModel
from textleak.core.update import SharedUpdate
from textleak.defences.base import Defence, TrainingDefence, UpdateDefence
from textleak.defences.parsing import parse_defence
from textleak.training import TrainingPlan

Memory = list[dict[str, Tensor]]  # what each update defence kept of a client's earlier updates


@dataclass(frozen=True)
class Defences:
    """The defences of a client, in the order in which they act.

    Attributes:
        training: change how it trains.
        update: change what it shares, one after another.
    """

    training: tuple[TrainingDefence[Any], ...] = ()
    update: tuple[UpdateDefence[Any], ...] = ()

    @classmethod
    def parse(cls, specs: Iterable[str]) -> Defences:
        """The defences written as `specs`; each kind keeps its order.

        Raises:
            ConfigError: one of them is not valid.
        """
        given = tuple(specs)
        if len(given) > MOST_DEFENCES:
            raise ConfigError(f"expected at most {MOST_DEFENCES} defences, got {len(given)}")
        parsed = [parse_defence(spec) for spec in given]
        return cls(
            tuple(d for d in parsed if isinstance(d, TrainingDefence)),
            tuple(d for d in parsed if isinstance(d, UpdateDefence)),
        )

    @property
    def all(self) -> tuple[Defence[Any], ...]:
        """All of them, in the order in which they act."""
        return (*self.training, *self.update)

    @property
    def specs(self) -> tuple[str, ...]:
        """How they are written."""
        return tuple(defence.spec for defence in self.all)

    @property
    def guarantee(self) -> PrivacyGuarantee | None:
        """What is proven of them where nobody knows their noise, where anything is."""
        found = (defence.guarantee() for defence in self.training)
        return next((one for one in found if one is not None), None)

    def assumed(self, threat_model: ThreatModel) -> ThreatModel:
        """What the attacker is granted under them."""
        for defence in self.training:
            threat_model = defence.assumed(threat_model)
        return threat_model

    def plan(self, names: Sequence[str], *, dropout: bool = False) -> TrainingPlan:
        """How a client with them trains the parameters called `names`.

        Raises:
            ConfigError: they do not fit one another or the model.
        """
        plan = TrainingPlan(tuple(names), dropout=dropout)
        for defence in self.training:
            plan = defence.train(plan)
        return plan

    def promise(self, *, seeded: bool) -> PrivacyGuarantee | None:
        """What is proven of them, given whether their noise follows from a seed that was given."""
        found = self.guarantee
        return found.from_known_seed() if found is not None and seeded else found

    def facts(self, plan: TrainingPlan, *, seeded: bool) -> dict[str, Any]:
        """What the metadata of an update says of its training, before the update defences act."""
        return {
            "defences": tuple(defence.spec for defence in self.training),
            "local": plan.local,
            "privacy": self.promise(seeded=seeded),
            "client_seeded": seeded,
        }

    def protect(
        self, update: SharedUpdate, *, seed: int | None = None, memory: Memory | None = None
    ) -> SharedUpdate:
        """The update as it is shared.

        Args:
            update: what came out of training; its metadata names the training defences.
            seed: seeds what is random; None takes it from the operating system.
            memory: what the client keeps from update to update; filled in place.
        """
        kept: Memory = [] if memory is None else memory
        kept += [{} for _ in self.update[len(kept) :]]
        for defence, own in zip(self.update, kept, strict=True):
            update = defence(update, seed=seed, memory=own)
        return update

    def reproducible(self) -> Defences:
        """Those without chance: what an attacker can do to a recovered batch as the client did."""
        return Defences(self.training, tuple(d for d in self.update if d.reproducible))


def on_update(spec: str) -> UpdateDefence[Any]:
    """The defence written as `spec`, which must act on an update that was trained already.

    Raises:
        ConfigError: it is not valid, or acts in the client's training.
    """
    defence = parse_defence(spec)
    if not isinstance(defence, UpdateDefence):
        raise ConfigError(
            f"{defence.name} changes how the client trains: it cannot be put on an update"
        )
    return defence
