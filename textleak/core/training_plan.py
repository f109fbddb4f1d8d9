"""What a client does between two exchanges, as the protocol lays it down."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pydantic import BaseModel, ConfigDict, Field

from textleak.core.bounds import MOST_STEPS, Count


class LocalSteps(BaseModel):
    """Several local steps of plain SGD before anything is shared (McMahan et al., 2017).

    Attributes:
        steps: how many.
        rate: their learning rate.
        batch_size: examples a step, taken in turn; the whole batch where not given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(default=4, ge=1, le=MOST_STEPS)
    rate: float = Field(default=1e-2, gt=0, allow_inf_nan=False)
    batch_size: Count | None = None

    def rows(self, step: int, count: int) -> list[int]:
        """Which of `count` examples step number `step` trains on.

        >>> LocalSteps(batch_size=2).rows(1, 3)
        [2, 0]
        """
        size = min(self.batch_size or count, count)
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
