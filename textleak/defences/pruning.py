"""Small entries set to zero, as gradient compression does (DLG, section 5.2)."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from textleak.defences.base import Step, UpdateDefence
from textleak.defences.sparsity import Scope, keep_largest


class PruningOptions(BaseModel):
    """What is pruned.

    Attributes:
        ratio: the fraction of entries set to zero.
        scope: the smallest of each tensor, as Deep Gradient Compression takes them (Lin et al.
            2018), or of all tensors together.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    ratio: float = Field(default=0.2, ge=0, lt=1)
    scope: Scope = "tensor"


class MagnitudePruning(UpdateDefence[PruningOptions]):
    """Keeps the largest entries."""

    name: ClassVar[str] = "prune"
    options_class: ClassVar[type[BaseModel]] = PruningOptions
    promises: ClassVar[str] = "No proof; an attacker loses the small entries and keeps the large."
    costs: ClassVar[str] = (
        "Little accuracy up to high ratios with error feedback (see topk), more without it."
    )

    def protect(self, gradients: dict[str, Tensor], step: Step) -> dict[str, Tensor]:
        """Zero the entries of smallest magnitude."""
        ratio, scope = self.options.ratio, self.options.scope
        return keep_largest(gradients, lambda size: size - int(ratio * size), scope)
