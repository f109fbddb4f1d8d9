"""What an attack returns: the recovered batch, and how sure it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

from textleak.core.batch import TokenBatch
from textleak.core.budget import Stop
from textleak.core.verdict import Verdict

CandidateT = TypeVar("CandidateT")


@dataclass(frozen=True)
class Candidate:
    """A recovered batch as an attack's algorithm leaves it.

    Attributes:
        batch: the recovered input ids, attention mask and labels.
        confidence: per sequence and token, 0 to 1.
        nearest: per sequence and token, the nearest words as (id, distance), best first.
        objective: the value that the attack minimised.
        notes: what the attack wants to say of how it got there.
    """

    batch: TokenBatch
    confidence: list[list[float]]
    objective: float
    nearest: list[list[list[tuple[int, float]]]] = field(default_factory=list)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Reconstruction(Generic[CandidateT]):
    """The outcome of an attack, whatever it recovers.

    Attributes:
        attack: the attack's name.
        candidate: the recovered batch.
        evaluations: how many candidate gradients were evaluated.
        seconds: wall-clock time.
        gradient_error: relative error of the recovered batch's gradient against the shared one.
        verdict: what the update says of the recovery, as a whole and of each of its parts.
        stopped: what ended the attack early, its budget or the user: this is the best found so far.
        warnings: what makes this result unreliable.
    """

    attack: str
    candidate: CandidateT
    evaluations: int
    seconds: float
    gradient_error: float
    verdict: Verdict
    stopped: Stop | None = None
    warnings: tuple[str, ...] = ()

    @property
    def interrupted(self) -> bool:
        """Whether the user stopped the attack."""
        return self.stopped == "user"

    @property
    def verified(self) -> bool:
        """Whether the whole batch is proven, without the truth."""
        return self.verdict.verified


@dataclass(frozen=True, kw_only=True)
class TextReconstruction(Reconstruction[Candidate]):
    """The outcome of an attack on text.

    Attributes:
        token_ids: per sequence, the original sentence's ids as recovered: at a masked position
            stands the recovered label. Special tokens included.
        texts: the same, decoded.
        labels: per sequence, the recovered class, or the recovered words under the masks.
    """

    token_ids: list[list[int]]
    texts: list[str]
    labels: list[list[int]]
