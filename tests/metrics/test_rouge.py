"""ROUGE against a count of our own, straight from Lin (2004), sections 2 and 3."""

import re
from collections import Counter
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textleak.metrics.rouge import rouge

texts = st.lists(st.sampled_from(["the", "cat", "sat", "On", "mat."]), max_size=6).map(" ".join)


def words(text: str) -> list[str]:
    return re.findall("[a-z0-9]+", text.lower())


def f1(hits: int, reference: int, found: int) -> float:
    if not hits:
        return 0.0
    precision, recall = hits / found, hits / reference
    return 2 * precision * recall / (precision + recall)


def ngram_f1(reference: str, found: str, n: int) -> float:
    sides = []
    for text in (reference, found):
        row = words(text)
        sides.append(Counter(tuple(row[i : i + n]) for i in range(len(row) - n + 1)))
    hits = (sides[0] & sides[1]).total()
    return f1(hits, sides[0].total(), sides[1].total())


def longest_f1(reference: str, found: str) -> float:
    a, b = words(reference), words(found)
    subsequences = {
        tuple(b[i] for i in chosen)
        for size in range(len(b) + 1)
        for chosen in combinations(range(len(b)), size)
    }
    longest = max(
        size
        for size in range(len(a) + 1)
        for chosen in combinations(range(len(a)), size)
        if tuple(a[i] for i in chosen) in subsequences
    )
    return f1(longest, len(a), len(b))


@given(texts, texts)
def test_rouge_is_what_its_paper_defines(reference: str, found: str) -> None:
    scores = rouge(reference, found)
    assert scores["rouge1"] == pytest.approx(ngram_f1(reference, found, 1))
    assert scores["rouge2"] == pytest.approx(ngram_f1(reference, found, 2))
    assert scores["rougeL"] == pytest.approx(longest_f1(reference, found))
