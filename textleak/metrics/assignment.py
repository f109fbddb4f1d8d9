"""Pair the recovered sequences of a batch with the references that they match best."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from textleak.metrics.tokens import token_match


def best_pairing(
    references: Sequence[Sequence[int]], recovered: Sequence[Sequence[int]]
) -> list[int | None]:
    """For each reference the index of its recovery, so that the summed token match is the largest.

    A gradient is a sum over the batch, so an attack cannot know the order of its sequences. Among
    equally good pairings, sequences of equal length and those left in place are preferred.

    Args:
        references: the sentences' ids, special tokens left out.
        recovered: the same of the recovery; may be fewer or more.

    Returns:
        One index into `recovered` a reference; None where there are fewer recoveries.

    >>> best_pairing([[1, 2], [3, 4]], [[3, 9], [1, 2]])
    [1, 0]
    >>> best_pairing([[1, 2], [3, 4]], [[3, 4]])
    [None, 0]
    """
    if not recovered:
        return [None] * len(references)
    gain = np.array(
        [
            [
                token_match(reference, found)
                + 1e-6 * (len(reference) == len(found))
                + 1e-9 * (i == j)
                for j, found in enumerate(recovered)
            ]
            for i, reference in enumerate(references)
        ]
    )
    rows, columns = linear_sum_assignment(gain, maximize=True)
    pairs = dict(zip(rows.tolist(), columns.tolist(), strict=True))
    return [pairs.get(index) for index in range(len(references))]
