"""The special tokens that stand around texts and between two segments of one."""

from __future__ import annotations

from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from textleak.core.feed import Feed


@dataclass(frozen=True)
class Marks:
    """Ids that a tokenizer adds.

    Attributes:
        begin: before every text.
        inner: between two segments.
        end: behind every text.
    """

    begin: tuple[int, ...] = ()
    inner: tuple[int, ...] = ()
    end: tuple[int, ...] = ()

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase, feed: Feed) -> Marks:
        """What `tokenizer` adds to texts that are fed so; a decoder's often adds nothing."""
        if not feed.framed:
            return cls()
        special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
        ids = [int(token) for token in tokenizer("a")["input_ids"]]
        plain = [place for place, token in enumerate(ids) if token not in special]
        if not plain:
            return cls(begin=tuple(ids[:1]), end=tuple(ids[1:]))
        begin, end = tuple(ids[: plain[0]]), tuple(ids[plain[-1] + 1 :])
        if not feed.pairs:
            return cls(begin, (), end)
        both = [int(token) for token in tokenizer("a", "a")["input_ids"]]
        inner = both[plain[-1] + 1 : len(both) - len(end) - (plain[-1] - plain[0] + 1)]
        return cls(begin, tuple(inner), end)
