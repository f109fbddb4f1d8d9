"""The words under the masks against the client's truth."""

from __future__ import annotations

from collections import Counter

import torch
from hypothesis import given
from hypothesis import strategies as st

from textleak.evidence.masked_words import masked_count, masked_words


@given(words=st.lists(st.integers(0, 29), min_size=1, max_size=6), seed=st.integers(0, 1000))
def test_words_come_back_from_the_bias_gradient(words: list[int], seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    soft = (0.3 * torch.randn(len(words), 30, generator=draw)).softmax(1)
    gradient = soft.clone()
    gradient[torch.arange(len(words)), words] -= 1
    assert masked_words(gradient.mean(0), len(words)).tolist() == sorted(words)


def test_a_sure_model_hides_a_label_but_never_the_count() -> None:
    bias = torch.tensor([-0.5, 0.3, 0.2, -1e-9])
    assert len(masked_words(bias, 2)) == 2
    assert Counter(masked_words(bias, 3).tolist())[0] >= 1


@given(count=st.integers(1, 8), seed=st.integers(0, 1000))
def test_count_is_the_rank_of_the_head(count: int, seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    states, slopes = torch.randn(2, count, 24, generator=draw)
    assert masked_count(slopes.T @ states) == count
