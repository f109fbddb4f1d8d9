"""ROUGE against a count of our own, straight from Lin (2004), sections 2 and 3."""

import re
from collections import Counter
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.tokenizers import DefaultTokenizer

from textleak.metrics.rouge import WordsOfAnyScript, rouge

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


@pytest.mark.parametrize(
    "text",
    [
        "我爱自然语言处理",
        "مرحبا بالعالم",
        "שלום עולם",
        "これはペンです",
        "สวัสดีชาวโลก",
        "नमस्ते दुनिया",
        "Привет, мир",
    ],
)
def test_an_exact_text_of_any_script_scores_one(text: str) -> None:
    assert rouge(text, text) == {"rouge1": 1.0, "rouge2": 1.0, "rougeL": 1.0}


def test_scripts_without_spaces_are_told_apart_by_letters() -> None:
    assert rouge("我爱你", "我爱他")["rouge1"] == pytest.approx(2 / 3)


@given(st.text(st.characters(max_codepoint=127)))
def test_ascii_makes_the_words_that_rouge_score_makes(text: str) -> None:
    assert WordsOfAnyScript().tokenize(text) == DefaultTokenizer(use_stemmer=False).tokenize(text)
