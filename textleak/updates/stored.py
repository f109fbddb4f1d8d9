"""What a file holds before a model says what it means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from textleak.core.update import UpdateMetadata


@dataclass(frozen=True)
class Stored:
    """Tensors as they were saved, by name or in order.

    Attributes:
        source: the file or folder, for messages.
        format: what it is, in words.
        tensors: those with names.
        arrays: those without, in the order of the file; None where one of them was missing.
        metadata: what the file says of itself; empty facts in files of others.
    """

    source: str
    format: str
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    arrays: tuple[Tensor | None, ...] = ()
    metadata: UpdateMetadata = field(default_factory=UpdateMetadata)

    @property
    def count(self) -> int:
        """How many tensors there are."""
        return len(self.tensors) + sum(array is not None for array in self.arrays)
