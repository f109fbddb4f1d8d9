import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textleak.metrics.tokens import exact, token_match

ids = st.lists(st.integers(0, 5), min_size=1, max_size=12)


@given(ids, ids)
def test_token_match_is_the_mean_of_equal_positions(reference: list[int], found: list[int]) -> None:
    padded = np.full(len(reference), -1)
    padded[: len(found)] = found[: len(reference)]
    assert token_match(reference, found) == pytest.approx((padded == np.array(reference)).mean())


@given(ids, ids)
def test_exact_only_of_equal_ids(reference: list[int], found: list[int]) -> None:
    assert exact(reference, found) == float(np.array_equal(reference, found))
    assert exact(reference, reference) == token_match(reference, reference) == 1.0


def test_an_empty_reference_is_matched_by_nothing_only() -> None:
    assert token_match([], []) == 1.0
    assert token_match([], [1]) == 0.0
