"""Word pieces as a reader sees them, without needing the tokenizer when a run is shown again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from textleak.core.events import Event, Iteration
from textleak.metrics.sentence import SentenceFrame

CONTINUES = "##"


class Legend:
    """What a saved run keeps beside its events, so that it can be shown again; nothing more here."""

    def head(self) -> dict[str, Any]:
        """What is written before the first event."""
        return {}

    def event(self, event: Event) -> None:
        """Take in what an event shows."""

    def tail(self) -> dict[str, Any]:
        """What is written with the result."""
        return {}


class Pieces(Legend):
    """Names of token ids, and the frame of special tokens around a sentence.

    Args:
        lookup: the piece of an id; None for an id whose piece is not known.
        frame: how many special tokens stand before and after a sentence.
    """

    def __init__(self, lookup: Callable[[int], str | None], frame: SentenceFrame) -> None:
        self.frame = frame
        self._lookup = lookup
        self.seen: dict[int, str] = {}

    @classmethod
    def saved(cls, names: Mapping[str, str], frame: SentenceFrame) -> Pieces:
        """The pieces that a run had seen when it was saved."""
        return cls(lambda token: names.get(str(token)), frame)

    def __call__(self, ids: Sequence[int]) -> list[str]:
        """The pieces of token ids; an unknown one as its number."""
        return [self._piece(token) for token in ids]

    def head(self) -> dict[str, Any]:
        """The frame."""
        return {"frame": {"lead": self.frame.lead, "trail": self.frame.trail}}

    def event(self, event: Event) -> None:
        """Name the ids that the event shows."""
        if isinstance(event, Iteration):
            for ids in event.token_ids:
                self(ids)

    def tail(self) -> dict[str, Any]:
        """The names of all ids seen."""
        return {"pieces": {str(token): name for token, name in sorted(self.seen.items())}}

    def known(self, ids: Sequence[int]) -> bool:
        """Whether every one of the ids has a name."""
        return all(token in self.seen or self._lookup(token) is not None for token in ids)

    def _piece(self, token: int) -> str:
        if token not in self.seen:
            piece = self._lookup(token)
            if piece is None:
                return f"<{token}>"
            self.seen[token] = piece
        return self.seen[token]
