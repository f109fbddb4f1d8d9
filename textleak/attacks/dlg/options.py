"""The settings of gradient matching: the paper's, and those that work."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from textleak.attacks.matching.options import MatchingOptions
from textleak.core.bounds import MOST_COUNT, Count


class DiscreteOptions(BaseModel):
    """How far the discrete stage looks.

    Attributes:
        slack: an improvement of the objective below it is none: it is float32's rounding of a cosine.
        near: an objective below it is worth a verification, which alone decides.
        spare: likely places looked at beyond the number of masked ones.
        swaps: the most swaps tried in one sweep, drawn by the seed where there are more.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    slack: float = Field(default=1e-7, ge=0)
    near: float = Field(default=1e-3, gt=0)
    spare: int = Field(default=3, ge=0, le=MOST_COUNT)
    swaps: Count = 400


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
        sweeps: how far that looks.
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
    sweeps: DiscreteOptions = Field(default_factory=DiscreteOptions)
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
