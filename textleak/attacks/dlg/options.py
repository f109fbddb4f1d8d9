"""The settings of gradient matching: the paper's, and those that work."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from textleak.core.bounds import Count


class MatchingOptions(BaseModel):
    """What every attack that matches gradients of continuous dummies can choose.

    Attributes:
        labels: `joint` optimises soft labels with the input, `analytic` reads the labels off the
            decoder's or classifier's bias gradient first, `known` takes them from the update.
        simplex: what makes joint labels distributions over the vocabulary; see `labels.squares`.
        words: the words to decode to: `gradient` reads the words of the batch off the word table's
            gradient where it is shared, `vocabulary` allows every word.
        mask_prior: start the masked positions from the norms of the position table's gradient
            rows: they are where the loss enters.
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
    restarts: Count = 2
    at_once: Count | None = None
    metric: Literal["cosine", "l2"] = "cosine"
    engine: Literal["engine", "oracle"] = "engine"


class DlgOptions(MatchingOptions):
    """How `dlg` matches gradients; the defaults are those that work on BERT.

    Attributes:
        dummy: `embeddings` are free vectors, `tokens` are soft distributions over the words.
        distance: how gradients are compared in the continuous stage.
        position_weight: weight of the position table's rows beside one for every other tensor;
            0 leaves them out. It pins the order of words.
        optimizer: `lbfgs` with a line search for every restart, or the `paper`'s.
        rounds: continuous and discrete stages follow one another at most so often.
        iterations: continuous iterations a round (for `paper`: outer ones, of 20 inner ones each).
        history: curvature pairs that L-BFGS keeps.
        start_scale: standard deviation of the random start, in units of the word table's.
        discrete: whether the discrete stage runs.
        nearest: words tried at each position in the discrete stage.
        chunk: candidates that the discrete stage evaluates in one pass.
    """

    dummy: Literal["embeddings", "tokens"] = "embeddings"
    distance: Literal["l2", "cosine", "cosine-all", "relative-l2", "tag"] = "cosine"
    position_weight: float = Field(default=20.0, ge=0)
    optimizer: Literal["lbfgs", "paper"] = "lbfgs"
    rounds: Count = 5
    iterations: Count = 30
    history: Count = 100
    start_scale: float = Field(default=1.0, gt=0)
    discrete: bool = True
    nearest: Count = 6
    chunk: Count = 16


class DlgPaperOptions(DlgOptions):
    """The settings of Deep Leakage from Gradients, section 4 (Zhu, Liu, Han, NeurIPS 2019)."""

    labels: Literal["joint", "analytic", "known"] = "joint"
    simplex: Literal["softmax", "squares"] = "softmax"
    words: Literal["gradient", "vocabulary"] = "vocabulary"
    distance: Literal["l2", "cosine", "cosine-all", "relative-l2", "tag"] = "l2"
    position_weight: float = Field(default=1.0, ge=0)
    mask_prior: bool = False
    optimizer: Literal["lbfgs", "paper"] = "paper"
    restarts: Count = 1
    rounds: Count = 1
    iterations: Count = 100
    discrete: bool = False
