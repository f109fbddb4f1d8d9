"""A defence that turns every gradient round."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from textleak.defences.base import NoOptions, Step, UpdateDefence


class Flip(UpdateDefence[NoOptions]):
    """Turns the sign of every entry."""

    name: ClassVar[str] = "flip"
    promises: ClassVar[str] = "Nothing: who knows of it turns them back."
    costs: ClassVar[str] = "Everything: training climbs."

    def protect(self, gradients: dict[str, Tensor], step: Step) -> dict[str, Tensor]:
        """Minus each."""
        return {name: -gradient for name, gradient in gradients.items()}
