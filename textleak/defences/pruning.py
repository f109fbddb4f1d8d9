"""Small entries set to zero, as gradient compression does (DLG, section 5.2)."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from textleak.defences.base import Defence


class PruningOptions(BaseModel):
    """What is pruned.

    Attributes:
        ratio: the fraction of entries set to zero.
        scope: the smallest of each tensor, as Deep Gradient Compression takes them (Lin et al.
            2018), or of all tensors together.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    ratio: float = Field(default=0.2, ge=0, lt=1)
    scope: Literal["tensor", "all"] = "tensor"


class MagnitudePruning(Defence[PruningOptions]):
    """Keeps the largest entries."""

    name: ClassVar[str] = "pruning"
    options_class: ClassVar[type[BaseModel]] = PruningOptions

    def protect(
        self, gradients: dict[str, Tensor], generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Zero the entries of smallest magnitude."""
        if self.options.scope == "tensor":
            return {name: self._pruned(gradient) for name, gradient in gradients.items()}
        everything = torch.cat([gradient.flatten() for gradient in gradients.values()])
        parts = torch.split(self._pruned(everything), [g.numel() for g in gradients.values()])
        return {
            name: part.reshape(gradients[name].shape)
            for name, part in zip(gradients, parts, strict=True)
        }

    def _pruned(self, gradient: Tensor) -> Tensor:
        count = int(self.options.ratio * gradient.numel())
        smallest = gradient.abs().flatten().topk(count, largest=False).indices
        return gradient.flatten().index_fill(0, smallest, 0.0).reshape(gradient.shape)
