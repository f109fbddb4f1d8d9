"""What a file holds before a model says what it means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from textleak.core.update import UpdateMetadata
from textleak.updates.optimizer import OptimizerState


@dataclass(frozen=True)
class Stored:
    """Tensors as they were saved, by name or in order.

    Attributes:
        source: the file or folder, for messages.
        format: what it is, in words.
        tensors: those with names.
        arrays: those without, in the order of the file; None where one of them was missing.
        optimizer: what an optimiser kept of each parameter, in its place.
        metadata: what the file says of itself; empty facts in files of others.
    """

    source: str
    format: str
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    arrays: tuple[Tensor | None, ...] = ()
    optimizer: OptimizerState | None = None
    metadata: UpdateMetadata = field(default_factory=UpdateMetadata)

    @property
    def count(self) -> int:
        """How many tensors there are."""
        if self.optimizer is not None:
            return sum(moment is not None for moment in self.optimizer.moments)
        return len(self.tensors) + sum(array is not None for array in self.arrays)
