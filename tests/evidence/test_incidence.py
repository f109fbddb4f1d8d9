"""Which word stands at which place, from sums of unknown vectors under noise of a known size."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from textleak.evidence.incidence import incidence

PAIRS = [(0, 0), (1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (2, 3), (6, 4), (7, 4), (8, 5)]


def sums(noise: float) -> tuple[Tensor, Tensor]:
    """Rows of words and of places: each the sum of the vectors of its pairs."""
    draws = torch.Generator().manual_seed(3)
    words, places = torch.zeros(9, 96), torch.zeros(6, 96)
    for word, place in PAIRS:
        vector = torch.randn(96, generator=draws)
        words[word] += vector
        places[place] += vector
    disturbed = [t + noise * torch.randn(t.shape, generator=draws) for t in (words, places)]
    return disturbed[0], disturbed[1]


@pytest.mark.parametrize("noise", [1e-6, 1e-2, 0.2])
def test_the_pairs_that_exist_stand_above_all_others(noise: float) -> None:
    words, places = sums(noise)
    size = [torch.full_like(t, noise) for t in (words, places)]
    share = incidence(words, places, size[0], size[1])
    true = torch.zeros_like(share, dtype=torch.bool)
    for pair in PAIRS:
        true[pair] = True
    assert float(share[true].min()) > float(share[~true].max())
