"""What a client does between two exchanges, as the protocol lays it down."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from textleak.core.bounds import MOST_STEPS, Count


class LocalSteps(BaseModel):
    """Several local steps before anything is shared (McMahan et al., 2017), as torch's optimisers take them.

    Attributes:
        steps: how many.
        rate: their learning rate.
        batch_size: examples a step, taken in turn; the whole batch where not given.
        accumulation: minibatches whose mean gradient makes one step; they are taken as one, which is
            the same where they are of one size.
        optimizer: SGD where not given; its other settings are torch's.
        momentum: of SGD.
        weight_decay: on all weights.
        max_norm: what each step's gradient is clipped to beforehand.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(default=4, ge=1, le=MOST_STEPS)
    rate: float = Field(default=1e-2, gt=0, allow_inf_nan=False)
    batch_size: Count | None = None
    accumulation: Count | None = None
    optimizer: Literal["sgd", "adam", "adamw"] | None = None
    momentum: float | None = Field(default=None, ge=0, lt=1)
    weight_decay: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    max_norm: float | None = Field(default=None, gt=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _momentum_of_sgd(self) -> LocalSteps:
        if self.momentum and self.adaptive:
            raise ValueError(f"momentum is a setting of sgd, not of {self.optimizer}")
        return self

    @property
    def signed(self) -> bool:
        """Whether the update is nearly the gradient's signs: Adam's first step moves all numbers alike."""
        return self.adaptive and self.steps == 1

    @property
    def adaptive(self) -> bool:
        """Whether the optimiser is an Adam."""
        return self.optimizer in ("adam", "adamw")

    def rows(self, step: int, count: int) -> list[int]:
        """Which of `count` examples step number `step` trains on.

        >>> LocalSteps(batch_size=2).rows(1, 3)
        [2, 0]
        """
        size = min((self.batch_size or count) * (self.accumulation or 1), count)
        return [(step * size + i) % count for i in range(size)]


class PerExample(BaseModel):
    """Each example's gradient clipped and noise added to their sum (Abadi et al., 2016).

    Attributes:
        clip: the largest norm that an example's gradient keeps.
        noise: standard deviation of the noise on the sum, in units of `clip`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    clip: float = Field(gt=0, allow_inf_nan=False)
    noise: float = Field(ge=0, allow_inf_nan=False)


@dataclass(frozen=True)
class TrainingPlan:
    """How an update comes about; one plain gradient of the whole batch where nothing else is said.

    Attributes:
        names: the parameters that are trained and shared.
        dropout: train mode, so dropout noise is in the gradient.
        dropout_rate: the rate of every dropout layer; the model's own where None.
        local: local steps, whose weight delta is shared instead of a gradient.
        per_example: clipping and noise example by example.
    """

    names: tuple[str, ...]
    dropout: bool = False
    dropout_rate: float | None = None
    local: LocalSteps | None = None
    per_example: PerExample | None = None

    def without_chance(self) -> TrainingPlan:
        """The plan without dropout and noise: what an attacker can carry out as the client did."""
        quiet = self.per_example
        if quiet is not None:
            quiet = quiet.model_copy(update={"noise": 0.0})
        return replace(self, dropout=False, dropout_rate=None, per_example=quiet)
