"""What is said of a recovery: one of three words for the whole and for every sequence or picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Word = Literal["proven", "consistent", "unexplained"]


@dataclass(frozen=True)
class PartVerdict:
    """What is said of one sequence or picture.

    Attributes:
        word: `proven`, `consistent` or `unexplained`.
        places: the places at which a neighbour explains the update as well, where it is consistent.
        reason: why it is not proven; empty where it is.
    """

    word: Word
    places: tuple[int, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class Verdict:
    """What the shared update says of a recovered batch.

    `proven`: the batch's update is the shared one to rounding, and that of every neighbour tried is
    clearly another. `consistent`: it is the shared one to rounding, and so is a neighbour's, or the
    update holds too little to tell. `unexplained`: it is not the shared one.

    Attributes:
        word: of the whole: `proven` where every part is.
        parts: one a sequence or picture, in the recovered batch's order.
        error: the relative error of the recomputed update after the fit of `scale`.
        scale: the factor of the shared update on the recomputed one.
        distance: the residual in units of rounding; None where it was not looked at so closely.
        reasons: why it is not proven, for people.
    """

    word: Word
    parts: tuple[PartVerdict, ...]
    error: float
    scale: float = 1.0
    distance: float | None = None
    reasons: tuple[str, ...] = ()

    @property
    def verified(self) -> bool:
        """Whether the whole batch is proven."""
        return self.word == "proven"


def worst(words: Sequence[Word]) -> Word:
    """The least of several verdicts; of none, `unexplained`.

    >>> worst(["proven", "consistent"])
    'consistent'
    """
    order: tuple[Word, ...] = ("unexplained", "consistent", "proven")
    return min(words, key=order.index, default="unexplained")


def alike(
    word: Word,
    count: int,
    error: float,
    reason: str,
    *,
    scale: float = 1.0,
    distance: float | None = None,
) -> Verdict:
    """The same word for all `count` parts."""
    parts = (PartVerdict(word, reason=reason),) * count
    return Verdict(word, parts, error, scale, distance, (reason,) if reason else ())


def joined(
    parts: Sequence[PartVerdict], error: float, scale: float, distance: float | None
) -> Verdict:
    """The whole's verdict from its parts': no better than the worst."""
    whole = worst([part.word for part in parts])
    said = [
        f"{index + 1}: {part.reason}" if len(parts) > 1 else part.reason
        for index, part in enumerate(parts)
        if part.reason
    ]
    return Verdict(whole, tuple(parts), error, scale, distance, tuple(said))
