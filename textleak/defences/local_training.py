"""Defences in how a client trains: several local steps, dropout, parameters that are not trained."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from textleak.core.bounds import MOST_COUNT
from textleak.core.errors import ConfigError
from textleak.core.layer_names import layer_number
from textleak.core.threat_model import ThreatModel
from textleak.defences.base import TrainingDefence
from textleak.training import LocalSteps, TrainingPlan


class FedAvg(TrainingDefence[LocalSteps]):
    """Several local steps, of SGD or Adam; the weight delta is shared, not a gradient."""

    name: ClassVar[str] = "fedavg"
    options_class: ClassVar[type[BaseModel]] = LocalSteps
    promises: ClassVar[str] = (
        "No proof; an attacker who takes the delta for a gradient errs more with each local step."
    )
    costs: ClassVar[str] = "Usually nothing: it is how federated training saves traffic."

    def train(self, plan: TrainingPlan) -> TrainingPlan:
        """Take local steps."""
        if plan.local is not None:
            raise ConfigError("fedavg was given twice: expected one number of local steps")
        return replace(plan, local=self.options)


class DropoutOptions(BaseModel):
    """How much is dropped.

    Attributes:
        rate: the rate of every dropout layer; the model's own where not given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rate: float | None = Field(default=None, gt=0, lt=1)


class Dropout(TrainingDefence[DropoutOptions]):
    """The client trains with dropout on; the attacker does not see what was dropped."""

    name: ClassVar[str] = "dropout"
    options_class: ClassVar[type[BaseModel]] = DropoutOptions
    promises: ClassVar[str] = (
        "No proof; gradients can no longer be matched exactly, but which words were there still shows."
    )
    costs: ClassVar[str] = "None: it is how most models are trained."
    reproducible: ClassVar[bool] = False

    def train(self, plan: TrainingPlan) -> TrainingPlan:
        """Turn dropout on."""
        return replace(plan, dropout=True, dropout_rate=self.options.rate)

    def assumed(self, threat_model: ThreatModel) -> ThreatModel:
        """Dropout is on, its noise unknown."""
        return threat_model.model_copy(update={"dropout": True})


class WithholdOptions(BaseModel):
    """Which parameters are neither trained nor shared; one of these.

    Attributes:
        part: `embeddings` (words, positions, types), or `encoder` (all but the head).
        last: all but the last so many layers and what follows them.
        pattern: those whose names fit this shell pattern.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    part: Literal["embeddings", "encoder"] | None = None
    last: int | None = Field(default=None, ge=0, le=MOST_COUNT)
    pattern: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _one(cls, given: dict[str, Any]) -> dict[str, Any]:
        chosen = {key: value for key, value in given.items() if value is not None}
        if len(chosen) > 1:
            raise ValueError(f"expected one of part, last and pattern, got {', '.join(chosen)}")
        return chosen or {"part": "embeddings"}

    @property
    def what(self) -> str:
        """The parameters in words."""
        if self.last is not None:
            return f"those before the last {self.last} layers"
        return self.pattern or str(self.part)


class Withhold(TrainingDefence[WithholdOptions]):
    """Some parameters stay frozen and their gradients at home; the embeddings by default."""

    name: ClassVar[str] = "withhold"
    linear: ClassVar[bool] = True
    options_class: ClassVar[type[BaseModel]] = WithholdOptions
    promises: ClassVar[str] = (
        "No proof; what pins words and places is missing, but the other layers still tell of them."
    )
    costs: ClassVar[str] = (
        "Frozen parameters do not learn: little in fine-tuning, a lot from scratch."
    )

    def train(self, plan: TrainingPlan) -> TrainingPlan:
        """Train and share the others only."""
        kept = tuple(name for name in plan.names if not self._withheld(name, plan.names))
        if not kept:
            raise ConfigError(f"{self.spec} withholds every parameter: nothing is left to share")
        if len(kept) == len(plan.names):
            raise ConfigError(f"{self.spec} fits no parameter of the model: nothing to withhold")
        return replace(plan, names=kept)

    def assumed(self, threat_model: ThreatModel) -> ThreatModel:
        """These parameters are not shared."""
        withheld = (*threat_model.withheld, self.options.what)
        return threat_model.model_copy(update={"withheld": withheld})

    def _withheld(self, name: str, names: tuple[str, ...]) -> bool:
        options, layer = self.options, layer_number(name)
        if options.pattern is not None:
            return fnmatchcase(name, options.pattern)
        if options.part == "embeddings" or layer is None:
            return "embeddings" in name
        if options.last is None:
            return True
        count = 1 + max(number for number in map(layer_number, names) if number is not None)
        return layer < count - options.last
