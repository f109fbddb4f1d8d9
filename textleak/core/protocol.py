"""The client's protocol as people state it: what it did between the weights it got and what it sent."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from textleak.core.bounds import MOST_STEPS, Count
from textleak.core.written import parse_settings


class Protocol(BaseModel):
    """What is stated of a client's training; what is not stated is one step, its factor fitted.

    It says no more than defences can: each part becomes one, and verification carries it out.

    Attributes:
        lr: the learning rate of the local steps.
        steps: how many local steps there were.
        minibatch: sequences a step, taken in turn; all of them where not given.
        accumulation: minibatches whose mean gradient makes one step.
        optimizer: of the local steps, its other settings torch's.
        momentum: of SGD.
        weight_decay: of the optimiser, on all weights.
        max_norm: the norm that each step's gradient was clipped to.
        clip: the norm that the update was clipped to.
        precision: the type that the update was sent in.
        dropout: the rate of dropout.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    lr: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    steps: int | None = Field(default=None, ge=1, le=MOST_STEPS)
    minibatch: Count | None = None
    accumulation: Count | None = None
    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    momentum: float | None = Field(default=None, gt=0, lt=1)
    weight_decay: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    max_norm: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    clip: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    precision: Literal["fp16", "bf16"] | None = None
    dropout: float | None = Field(default=None, gt=0, lt=1)

    @model_validator(mode="after")
    def _with_a_rate(self) -> Protocol:
        if self.lr is None and (self.steps or self.minibatch or self._settings):
            raise ValueError("local steps need their learning rate: give lr")
        return self

    @property
    def _settings(self) -> str:
        """What a step is beside its rate, where it is not plain SGD."""
        keys = ("accumulation", "optimizer", "momentum", "weight_decay", "max_norm")
        given = {key: getattr(self, key) for key in keys}
        return "".join(f",{k}={v}" for k, v in given.items() if v not in (None, "sgd"))

    @property
    def defences(self) -> tuple[str, ...]:
        """The same as the defences that do it.

        >>> Protocol(lr=0.01, steps=2, clip=1.0).defences
        ('fedavg:steps=2,rate=0.01', 'clip:norm=1.0')
        """
        said = []
        if self.lr is not None:
            minibatch = f",batch_size={self.minibatch}" if self.minibatch else ""
            said.append(f"fedavg:steps={self.steps or 1},rate={self.lr}{minibatch}{self._settings}")
        if self.dropout is not None:
            said.append(f"dropout:rate={self.dropout}")
        if self.clip is not None:
            said.append(f"clip:norm={self.clip}")
        return (*said, self.precision) if self.precision else tuple(said)


def _written(value: Any) -> Any:
    return parse_settings(value.split(",")) if isinstance(value, str) else value


StatedProtocol = Annotated[Protocol, BeforeValidator(_written)]  # or a line of `key=value,…`
