"""Nearest words against a plain loop, and which words can stand in a sentence."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cosine_similarity

from textleak.attacks.matching.nearest import Metric, nearest_words, standing_words
from textleak.models import TextModel


@pytest.mark.parametrize("metric", ["cosine", "l2"])
@given(seed=st.integers(0, 10_000), count=st.integers(1, 5), k=st.integers(1, 9))
def test_nearest_words_equal_a_plain_loop(metric: Metric, seed: int, count: int, k: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    table = torch.randn(12, 6, generator=draw)
    embeddings = torch.randn(count, 6, generator=draw)
    words = torch.randperm(12, generator=draw)[:7]
    found = nearest_words(embeddings, table, words, k=k, metric=metric)
    for row, embedding in enumerate(embeddings):
        distances = {
            int(word): float(
                1 - cosine_similarity(embedding, table[word], dim=0)
                if metric == "cosine"
                else (embedding - table[word]).norm()
            )
            for word in words
        }
        expected = sorted(distances, key=distances.__getitem__)[: min(k, 7)]
        assert found.ids[row].tolist() == expected
        assert found.distances[row].tolist() == pytest.approx(
            [distances[word] for word in expected], abs=1e-5
        )


def test_weights_fall_with_distance_and_sum_to_one() -> None:
    found = nearest_words(torch.randn(4, 6), torch.randn(9, 6), torch.arange(9), k=5)
    weights = found.weights()
    torch.testing.assert_close(weights.sum(1), torch.ones(4))
    assert bool((weights[:, 1:] <= weights[:, :-1]).all())


def test_frame_and_padding_cannot_stand_in_a_sentence(mlm: TextModel) -> None:
    tokenizer = mlm.tokenizer
    words = set(standing_words(tokenizer, masks=False).tolist())
    barred = {"[CLS]", "[SEP]", "[PAD]", "[MASK]"}
    assert words == {i for word, i in tokenizer.get_vocab().items() if word not in barred}
    with_masks = set(standing_words(tokenizer, masks=True).tolist())
    assert with_masks - words == {tokenizer.mask_token_id}
