"""Text that looks like a tokenizer's marks, and words that a tokenizer does not know."""

from __future__ import annotations

import pytest

from textleak.client import Client
from textleak.core.errors import DataError
from textleak.models import TextModel


@pytest.mark.parametrize("mark", ["[SEP]", "[PAD]", "[CLS]", "[MASK]", "</s>"])
def test_a_literal_mark_is_text(mlm: TextModel, mark: str) -> None:
    (ids,) = Client(mlm).prepare([f"the cat {mark} sat ."]).original_ids
    tokenizer = mlm.tokenizer
    assert ids[0] == tokenizer.cls_token_id
    assert ids[-1] == tokenizer.sep_token_id
    marks = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    assert not marks & set(ids[1:-1])
    assert len(ids) > 6


def test_half_a_character_is_refused(mlm: TextModel) -> None:
    with pytest.raises(DataError, match=r"sentence 2: expected text, got U\+D83D"):
        Client(mlm).prepare(["the cat", "a \ud83d dog"])
