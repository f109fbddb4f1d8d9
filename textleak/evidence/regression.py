"""Places of words by least squares between the two embedding tables: robust, but not a proof."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

_LIKELY, _SURE = 0.4, 0.8  # coefficients are 0 or 1 for words that stand at one place
_NOISE, _ROUNDING = 3.0, 1e-6  # what may be left of a sum: of the usual, and of an entry
_ERRORS = 3.0  # standard errors at which half of a coefficient counts


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
    of_words, whole_places = _clear_shares(at_places, words)  # (W, T), (T,)
    of_places, whole_words = _clear_shares(words, at_places)  # (T, W), (W,)
    strength = torch.maximum(of_words * whole_places, (of_places * whole_words).T)
    # A place that no words explain has one whose own row holds more: a word that is masked elsewhere.
    alike = (normalize(words, dim=1) @ normalize(at_places, dim=1).T + ~whole_words[:, None]) / 2
    strength = torch.where(whole_places, strength, torch.maximum(strength, alike))
    likely = strength > _LIKELY
    # No place of the batch is empty: the strongest word stands in where none is likely.
    likely[strength.argmax(0), torch.arange(likely.shape[1])] = True
    alone = likely & (likely.sum(0) == 1) & (strength > _SURE)
    return strength, alone


def _clear_shares(sums: Tensor, parts: Tensor) -> tuple[Tensor, Tensor]:
    """The coefficients (m, n) of `parts` (m, H) in `sums` (n, H), less where unsure; (n,) which sums are whole.

    Noise gives a coefficient its standard error. Of a sum that is not whole more than noise is left
    unexplained: the decoder's part, in the row that a masked word has in a tied table.
    """
    found = torch.linalg.lstsq(parts.T, sums.T, driver="gelsd").solution
    left = (sums.T - parts.T @ found).std(0)  # (n,) of an entry
    whole: Tensor = left <= _NOISE * left.median() + _ROUNDING * sums.std()
    error = torch.linalg.pinv(parts).norm(dim=0)[:, None] * left
    sure = found.square() / (found.square() + (_ERRORS * error).square()).clamp_min(1e-300)
    return found * sure, whole
