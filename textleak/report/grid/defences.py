"""What the defences of a run say of themselves; their numerics are loaded when a report asks, not before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from textleak.defences import Defences


def stack_of(specs: Sequence[str]) -> Defences:
    """The defences that `specs` name, for what they promise, cost and are set to."""
    from textleak.defences import Defences

    return Defences.parse(specs)
