"""The metrics that every result has."""

from __future__ import annotations

from functools import lru_cache

from textleak.metrics.rouge import rouge
from textleak.metrics.spec import Metric, Pair
from textleak.metrics.tokens import exact, token_match

_rouge = lru_cache(maxsize=1)(rouge)  # three metrics ask for the same pair in turn


def _f1(key: str) -> Metric:
    return Metric(
        f"ROUGE-{key.removeprefix('rouge')}",
        f"The F1 of ROUGE-{key.removeprefix('rouge')} of the two texts.",
        lambda pair: _rouge(pair.reference, pair.recovered)[key],
    )


TOKEN_MATCH = Metric(
    "token match",
    "The fraction of the reference's positions at which the recovered id is the same.",
    lambda pair: token_match(pair.reference_ids, pair.recovered_ids),
)
EXACT = Metric(
    "whole",
    "1 if the ids are equal, position by position and in number, else 0.",
    lambda pair: exact(pair.reference_ids, pair.recovered_ids),
)
ROUGE1, ROUGE2, ROUGEL = _f1("rouge1"), _f1("rouge2"), _f1("rougeL")

__all__ = ["EXACT", "ROUGE1", "ROUGE2", "ROUGEL", "TOKEN_MATCH", "Metric", "Pair"]
