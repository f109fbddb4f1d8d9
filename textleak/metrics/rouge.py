"""ROUGE (Lin 2004), as Google's rouge-score counts it: F1 on lower-case words, no stemming."""

from __future__ import annotations

from functools import cache

from rouge_score.rouge_scorer import RougeScorer

KEYS = ("rouge1", "rouge2", "rougeL")


@cache
def _scorer() -> RougeScorer:
    return RougeScorer(list(KEYS), use_stemmer=False)


def rouge(reference: str, recovered: str) -> dict[str, float]:
    """The F1 of ROUGE-1, ROUGE-2 and ROUGE-L of two texts without special tokens.

    A text of one word has no pair of words: its ROUGE-2 is 0 even when it is recovered.

    >>> rouge("the cat sat down", "the cat sat up")
    {'rouge1': 0.75, 'rouge2': 0.6666666666666666, 'rougeL': 0.75}
    """
    scores = _scorer().score(reference, recovered)
    return {key: float(scores[key].fmeasure) for key in KEYS}
