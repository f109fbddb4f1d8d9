"""What every defence shares: how it is written, what it promises and costs, where it acts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar, Generic, TypeVar, final

from pydantic import BaseModel, ConfigDict
from torch import Tensor

from textleak.core.noise import NoiseLaw
from textleak.core.privacy import PrivacyGuarantee
from textleak.core.randomness import Stream, stream
from textleak.core.threat_model import ThreatModel
from textleak.core.update import SharedUpdate
from textleak.training import TrainingPlan


class NoOptions(BaseModel):
    """Nothing to choose."""

    model_config = ConfigDict(frozen=True, extra="forbid")


OptionsT = TypeVar("OptionsT", bound=BaseModel)


class Defence(ABC, Generic[OptionsT]):
    """Stands between private examples and what is shared; see the two kinds below.

    Attributes:
        name: as it is written.
        promises: one sentence on what it guarantees, or that it guarantees nothing.
        costs: one sentence on what is paid for it.
        reproducible: no chance is in it, so an attacker can do the same to a recovered batch.
        linear: what is shared under it is still a sum of what each sequence adds, noise aside.
    """

    name: ClassVar[str]
    options_class: ClassVar[type[BaseModel]] = NoOptions
    promises: ClassVar[str]
    costs: ClassVar[str]
    reproducible: ClassVar[bool] = True
    linear: ClassVar[bool] = False

    def __init__(self, options: OptionsT) -> None:
        self.options = options

    @property
    def spec(self) -> str:
        """The defence as it is written: its name with every option that is set."""
        chosen = self.options.model_dump(exclude_none=True).items()
        settings = ",".join(f"{key}={value}" for key, value in chosen)
        return f"{self.name}:{settings}" if settings else self.name

    def noise(self, examples: int) -> NoiseLaw | None:
        """The noise that it puts on every entry of an update of so many examples, if any."""
        return None


class TrainingDefence(Defence[OptionsT]):
    """Changes how the client trains; it acts before any update defence, wherever it is written."""

    @abstractmethod
    def train(self, plan: TrainingPlan) -> TrainingPlan:
        """The plan under this defence.

        Raises:
            ConfigError: it does not fit what the plan holds already.
        """

    def assumed(self, threat_model: ThreatModel) -> ThreatModel:
        """What the attacker is granted under this defence."""
        return threat_model

    def guarantee(self) -> PrivacyGuarantee | None:
        """What is proven of it, where anything is."""
        return None


@dataclass
class Step:
    """What goes with one update.

    Attributes:
        draws: everything random is drawn from it.
        memory: what this defence kept of the same client's earlier updates, by parameter; it may be
            written to. Empty at a client's first update.
    """

    draws: Stream
    memory: dict[str, Tensor] = field(default_factory=dict)


class UpdateDefence(Defence[OptionsT]):
    """Changes the gradients of an update; a subclass writes `protect` only."""

    @final
    def __call__(
        self,
        update: SharedUpdate,
        *,
        seed: int | None = None,
        memory: dict[str, Tensor] | None = None,
    ) -> SharedUpdate:
        """The update as it is shared under this defence; `update` itself is not touched.

        Args:
            update: what the client would share.
            seed: seeds what is random, each defence of a stack apart; None takes it from the
                operating system.
            memory: what `Step.memory` holds; changed in place. None is a client's first update.
        """
        done = update.metadata.defences
        gradients = self.protect(
            {name: tensor.detach().clone() for name, tensor in update.gradients.items()},
            Step(stream(seed, "defence", len(done)), {} if memory is None else memory),
        )
        metadata = update.metadata.model_copy(update={"defences": (*done, self.spec)})
        return SharedUpdate(gradients, metadata)

    @abstractmethod
    def protect(self, gradients: dict[str, Tensor], step: Step) -> dict[str, Tensor]:
        """The gradients to share, by the same names and of the same shapes."""
