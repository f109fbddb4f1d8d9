"""The whole gradient made no longer than a bound."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from textleak.defences.base import Step, UpdateDefence
from textleak.training.step import global_norm


class ClipOptions(BaseModel):
    """How long a gradient may be.

    Attributes:
        norm: the largest norm of all tensors together.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    norm: float = Field(default=1.0, gt=0, allow_inf_nan=False)


class Clip(UpdateDefence[ClipOptions]):
    """Scales the gradient down to a norm; its direction stays."""

    name: ClassVar[str] = "clip"
    options_class: ClassVar[type[BaseModel]] = ClipOptions
    promises: ClassVar[str] = (
        "Nothing by itself: the direction leaks; noise on top needs the bound."
    )
    costs: ClassVar[str] = "Little: long gradients count for less."

    def protect(self, gradients: dict[str, Tensor], step: Step) -> dict[str, Tensor]:
        """Scale every tensor by the same factor, 1 at the most."""
        norm = global_norm(gradients)
        factor = min(1.0, self.options.norm / norm) if norm > 0 else 1.0
        return {name: gradient * factor for name, gradient in gradients.items()}
