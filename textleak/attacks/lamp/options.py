"""The settings of `lamp`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from textleak.attacks.matching.descent import DescentOptions
from textleak.core.bounds import Count


class LampOptions(DescentOptions):
    """How `lamp` goes.

    Attributes:
        distance: mean `cosine` of tensors, or L2 and L1 (`tag`).
        alpha: weight of L1 in `tag`.
        norm_weight: weight of the regularisation: squared difference of the embeddings' mean norm
            from `norm` (eq. 4).
        norm: that norm; the word table's mean where not given.
        starts: random starts, and orders of the best of them, that the descent's is chosen from.
        burn_in: fraction of the iterations before the first moves.
        every: iterations from moves to moves.
        moves: orders tried for every sentence.
        prior: a causal language model, by Hub id or local folder; none where not given.
        prior_weight: weight of its loss beside the objective in the choice of a move.
    """

    learning_rate: float = Field(default=0.01, gt=0)
    decay: float = Field(default=0.89, gt=0, le=1)
    distance: Literal["cosine", "tag"] = "cosine"
    alpha: float = Field(default=0.01, ge=0)
    norm_weight: float = Field(default=1.0, ge=0)
    norm: float | None = Field(default=None, gt=0)
    starts: Count = 50
    burn_in: float = Field(default=0.1, ge=0, lt=1)
    every: Count = 75
    moves: Count = 100
    prior: str | None = None
    prior_weight: float = Field(default=0.2, ge=0)
