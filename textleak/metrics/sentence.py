"""The sentence inside a model's input: its ids without the special tokens that frame it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

T = TypeVar("T")


@dataclass(frozen=True)
class SentenceFrame:
    """How many special tokens a tokenizer puts before and after a sentence.

    They are taken off by place, not by id, so that a stray [SEP] that an attack recovers inside a
    sentence stays where it is and counts as the error that it is.

    >>> SentenceFrame(lead=1, trail=1).inner([101, 7, 102, 8, 102])
    [7, 102, 8]
    """

    lead: int
    trail: int

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase) -> SentenceFrame:
        """Read the frame off an encoded word."""
        special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
        bare = [token not in special for token in tokenizer("a")["input_ids"]]
        return cls(lead=bare.index(True), trail=bare[::-1].index(True))

    def inner(self, ids: Sequence[T]) -> list[T]:
        """What belongs to the sentence alone, of ids or of anything else counted a token."""
        return list(ids[self.lead : max(self.lead, len(ids) - self.trail)])
