import pytest
from hypothesis import given
from hypothesis import strategies as st

from textleak.metrics.sentence import SentenceFrame
from textleak.models import TextModel


def test_the_frame_is_read_off_the_tokenizer(mlm: TextModel) -> None:
    frame = SentenceFrame.of(mlm.tokenizer)
    assert frame == SentenceFrame(lead=1, trail=1)
    ids = mlm.tokenizer("the cat sat")["input_ids"]
    assert mlm.tokenizer.convert_ids_to_tokens(frame.inner(ids)) == ["the", "cat", "sat"]


@given(st.lists(st.integers()), st.integers(0, 2), st.integers(0, 2))
def test_inner_takes_off_by_place(ids: list[int], lead: int, trail: int) -> None:
    inner = SentenceFrame(lead, trail).inner(ids)
    assert len(inner) == max(0, len(ids) - lead - trail)
    assert ids[:lead] + inner + ids[len(ids) - trail :] == ids or len(ids) < lead + trail


@pytest.mark.parametrize("length", range(4))
def test_too_short_ids_leave_nothing_or_less(length: int) -> None:
    assert len(SentenceFrame(1, 1).inner([7] * length)) == max(0, length - 2)
