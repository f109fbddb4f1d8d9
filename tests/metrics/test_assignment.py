from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from textleak.metrics.assignment import best_pairing
from textleak.metrics.tokens import token_match

sentence = st.lists(st.integers(0, 3), min_size=1, max_size=5)
batches = st.integers(1, 4).flatmap(
    lambda n: st.tuples(*(st.lists(sentence, min_size=n, max_size=n) for _ in range(2)))
)


@settings(max_examples=60)
@given(batches)
def test_no_other_pairing_matches_more(batch: tuple[list[list[int]], list[list[int]]]) -> None:
    references, found = batch
    pairs = best_pairing(references, found)
    total = sum(token_match(r, found[at]) for r, at in zip(references, pairs, strict=True))
    best = max(
        sum(token_match(r, f) for r, f in zip(references, order, strict=True))
        for order in permutations(found)
    )
    assert sorted(pairs) == list(range(len(found)))
    assert total == pytest.approx(best, abs=1e-4)


def test_equal_sentences_stay_in_place() -> None:
    assert best_pairing([[1], [1], [1]], [[1], [1], [1]]) == [0, 1, 2]


def test_more_or_fewer_recoveries_than_references() -> None:
    assert best_pairing([[1, 2]], [[9, 9], [1, 2], [1, 9]]) == [1]
    assert best_pairing([[1], [2]], []) == [None, None]
