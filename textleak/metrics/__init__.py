"""Metrics: pure functions of a reference and a recovery; all rates lie between 0 and 1.

They work on the ids and the text of a *sentence*: the special tokens that frame it are taken off
first (`audit` does that), and at a masked position stands the word, not [MASK].
"""

from collections.abc import Callable, Sequence

from textleak.core.registry import Registry

TokenMetric = Callable[[Sequence[int], Sequence[int]], float]
TextMetric = Callable[[str, str], dict[str, float]]

TOKEN_METRICS: Registry[TokenMetric] = Registry(
    "token metric",
    {
        "token_match": "textleak.metrics.tokens:token_match",
        "exact": "textleak.metrics.tokens:exact",
    },
)
TEXT_METRICS: Registry[TextMetric] = Registry(
    "text metric", {"rouge": "textleak.metrics.rouge:rouge"}
)

__all__ = ["TEXT_METRICS", "TOKEN_METRICS", "TextMetric", "TokenMetric"]
