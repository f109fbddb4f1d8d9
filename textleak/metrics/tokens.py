"""How many word pieces stand where they stood."""

from __future__ import annotations

from collections.abc import Sequence


def token_match(reference: Sequence[int], recovered: Sequence[int]) -> float:
    """The fraction of the reference's positions at which the recovered id is the same.

    Args:
        reference: the sentence's ids, special tokens left out.
        recovered: the recovered ids; positions beyond the reference count for nothing.

    >>> token_match([7, 8, 9, 10], [7, 8, 10, 9])
    0.5
    >>> token_match([7, 8], [7])
    0.5
    """
    if not reference:
        return float(not recovered)
    hits = sum(a == b for a, b in zip(reference, recovered, strict=False))
    return hits / len(reference)


def exact(reference: Sequence[int], recovered: Sequence[int]) -> float:
    """1 if the ids are equal, position by position and in number, else 0.

    >>> exact([7, 8], [7, 8]), exact([7, 8], [7, 8, 9])
    (1.0, 0.0)
    """
    return float(list(reference) == list(recovered))
