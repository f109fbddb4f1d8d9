"""The sentences of which most came back, token by token."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from textleak.report.grid.summary import CellSummary, Place, place_of
from textleak.results.log import GridRecord
from textleak.results.record import SequenceRecord

Kind = Literal["right", "moved", "wrong", ""]


@dataclass(frozen=True)
class Token:
    """A word piece and how it stands to the other sentence."""

    text: str
    kind: Kind


@dataclass(frozen=True)
class WorstSentence:
    """A sentence under one defence, the true one beside what came back.

    Attributes:
        defence: the defence.
        where: the attack and whatever else names its cell.
        token_match: its score.
        verified: whether its update's recovery is proven.
        said: what its update determines, where it did not come back whole.
        reference: the true word pieces.
        recovered: those that came back.
    """

    defence: str
    where: str
    token_match: float
    verified: bool
    said: str
    reference: list[Token]
    recovered: list[Token]


def worst_sentences(
    cells: Sequence[CellSummary], label: Callable[[Place], str]
) -> list[WorstSentence]:
    """For every defence the sentence with the highest token match, the longest of equals."""
    best: dict[str, tuple[tuple[float, int], GridRecord, SequenceRecord]] = {}
    for cell in cells:
        for record in cell.done:
            assert record.result is not None
            for sequence in record.result.sequences:
                rank = (sequence.token_match or 0.0, len(sequence.reference_ids or []))
                held = best.get(cell.place.defence)
                if held is None or rank > held[0]:
                    best[cell.place.defence] = (rank, record, sequence)
    return [_shown(record, sequence, label) for _, record, sequence in best.values()]


def _shown(
    record: GridRecord, sequence: SequenceRecord, label: Callable[[Place], str]
) -> WorstSentence:
    assert record.result is not None
    names = record.pieces
    truth, found = sequence.reference_ids or [], sequence.recovered_ids
    return WorstSentence(
        defence=record.cell.defence,
        where=label(place_of(record)),
        token_match=sequence.token_match or 0.0,
        verified=record.result.verified,
        said="" if sequence.standing in ("", "found") else f", {sequence.standing}",
        reference=[Token(names.get(str(token), f"<{token}>"), "") for token in truth],
        recovered=[
            Token(names.get(str(token), f"<{token}>"), kind)
            for token, kind in zip(found, token_kinds(truth, found), strict=True)
        ],
    )


def token_kinds(truth: Sequence[int], found: Sequence[int]) -> list[Kind]:
    """How each token of `found` stands to `truth`; a true token answers for one found one at most.

    >>> token_kinds([5, 6, 7], [5, 7, 9])
    ['right', 'moved', 'wrong']
    """
    places = zip(found, truth, strict=False)
    right = [token == true for token, true in places]
    right += [False] * (len(found) - len(right))
    left = Counter(truth) - Counter(t for t, hit in zip(found, right, strict=True) if hit)
    kinds: list[Kind] = []
    for token, hit in zip(found, right, strict=True):
        if hit:
            kinds.append("right")
        elif left[token] > 0:
            left[token] -= 1
            kinds.append("moved")
        else:
            kinds.append("wrong")
    return kinds
