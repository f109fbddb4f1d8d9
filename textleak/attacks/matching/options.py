"""What every attack that matches gradients of continuous dummies can choose."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from textleak.core.bounds import Count


class PlaceOptions(BaseModel):
    """Where masked-LM's soft labels begin, and how many places each is looked for at.

    Attributes:
        lean: how strongly the norms of the position gradient's rows lean the start: a factor on their
            logarithms, 0 for not at all.
        jitter: standard deviation around that, so that restarts differ.
        each: places considered for every masked one where the norms tell them apart: the decoder over
            the whole vocabulary is a large part of an evaluation's cost.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    lean: float = Field(default=2.0, ge=0)
    jitter: float = Field(default=0.3, ge=0)
    each: Count = 4


class MatchingOptions(BaseModel):
    """Labels, words, restarts and the matcher, whatever is optimised and how.

    Attributes:
        labels: `joint` optimises soft labels with the input, `analytic` reads the labels off the
            decoder's or classifier's bias gradient first, `known` takes them from the update.
        simplex: what makes joint labels distributions over the vocabulary; see `labels.squares`.
        words: the words to decode to: `gradient` reads the words of the batch off the word table's
            gradient where it is shared, `vocabulary` allows every word.
        mask_prior: start the masked positions from the norms of the position table's gradient
            rows: they are where the loss enters.
        places: where soft labels of masked-LM begin.
        restarts: dummy batches optimised side by side; the best by objective wins.
        at_once: dummy batches that one pass takes at most; fewer need less memory and more time.
            None takes all restarts in one pass.
        metric: how the nearest word is measured.
        engine: the matcher: `engine`, or the slow `oracle`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    labels: Literal["joint", "analytic", "known"] = "analytic"
    simplex: Literal["softmax", "squares"] = "squares"
    words: Literal["gradient", "vocabulary"] = "gradient"
    mask_prior: bool = True
    places: PlaceOptions = Field(default_factory=PlaceOptions)
    restarts: Count = 2
    at_once: Count | None = None
    metric: Literal["cosine", "l2"] = "cosine"
    engine: Literal["engine", "oracle"] = "engine"
