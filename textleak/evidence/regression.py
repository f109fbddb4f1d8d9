"""Places of words by least squares between the two embedding tables: robust, but not a proof."""

from __future__ import annotations

import torch
from torch import Tensor

_LIKELY, _SURE = 0.4, 0.8  # coefficients are 0 or 1 for words that stand at one place


def likely_pairs(words: Tensor, at_places: Tensor) -> tuple[Tensor, Tensor]:
    """Which words probably stand where, under noise that hides exact relations.

    A position row is the sum of the rows of the words that stand only there (and of parts of
    others); a word row is the sum of the position rows at which it alone stands, which is every one
    of them for a single sentence. Either regression has coefficients near 0 and 1.

    Args:
        words: (W, H) word rows.
        at_places: (T, H) position rows.

    Returns:
        (W, T) how likely each pair is, about 0 to 1, and (W, T) those that are likely and alone at
        their place.
    """
    words, at_places = words.double(), at_places.double()
    of_words = torch.linalg.lstsq(words.T, at_places.T, driver="gelsd").solution  # (W, T)
    of_places = torch.linalg.lstsq(at_places.T, words.T, driver="gelsd").solution.T  # (W, T)
    strength = torch.maximum(of_words, of_places)
    likely = strength > _LIKELY
    # No place of the batch is empty: the strongest word stands in where none is likely.
    likely[strength.argmax(0), torch.arange(likely.shape[1])] = True
    alone = likely & (likely.sum(0) == 1) & (strength > _SURE)
    return strength, alone
