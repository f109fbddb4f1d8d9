"""What a verdict's thresholds are, and why."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class VerdictOptions:
    """How near is explained, how far is apart; all distances are in units of this update's rounding.

    The unit of a tensor is what rounding moves it: the difference of the recovered batch's update in
    the model's precision and in double precision.

    Attributes:
        within: an update this near is explained. Client and auditor each lie about one unit from the
            true gradient, in any order of summation; kernels differ, so eight is allowed.
        apart: a neighbour must lie this far. Two updates that are both within `within` of the shared
            one lie at most twice that from each other; twice more, since the neighbours that are
            tried are some of the nearest and not all.
        tried: places of a sequence whose nearest word is tried first; all of them where one fails.
        more: further places at a time, once one has failed.
        exact: neighbours of a sequence that are recomputed in full, where the quick bound leaves
            them open.
        witnesses: tensors that the quick bound looks at, the last that are shared; it holds for
            any of them, so few will do.
        small: numbers in a witness at the most, where there are such.
        large: numbers in a tensor whose rounding is taken to be the usual, without computing it.
    """

    within: float = 8.0
    apart: float = 32.0
    tried: int = 2
    more: int = 8
    exact: int = 3
    witnesses: int = 3
    small: int = 200_000
    large: int = 4_000_000
