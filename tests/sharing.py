"""What a client shares of sentences, for tests of whoever sees the update alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from textleak.client import Client, ClientOptions, PrivateBatch
from textleak.core.update import SharedUpdate
from textleak.models import TextModel

__all__ = ["PrivateBatch", "share"]


def share(
    model: TextModel,
    sentences: Sequence[str],
    labels: list[int] | None = None,
    *,
    seed: int = 0,
    **how: Any,
) -> tuple[PrivateBatch, SharedUpdate]:
    """The truth, and the update of a `Client` seeded with `seed` and made with the keywords `how`."""
    client = Client(model, ClientOptions(seed=seed), **how)
    private = client.prepare(list(sentences), labels)
    return private, client.share(private)
