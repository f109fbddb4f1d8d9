"""Two audits beside each other: what changed in the cells that both have."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from textleak.metrics.bootstrap import Interval, mean_interval
from textleak.report.grid.summary import CellSummary, Place
from textleak.results.log import GridRecord


@dataclass(frozen=True)
class Difference:
    """One cell in both audits, over the sentences that both have.

    Attributes:
        title: the cell.
        there: its mean token match in the other audit.
        here: its mean in this one.
        difference: here minus there, sentence by sentence, with its interval.
    """

    title: str
    there: float
    here: float
    difference: Interval

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out 0."""
        low, high = self.difference.low, self.difference.high
        return low is not None and high is not None and (low > 0 or high < 0)


def differences(
    here: Sequence[CellSummary], there: Sequence[CellSummary], label: Callable[[Place], str]
) -> list[Difference]:
    """Every cell that both audits have with the same texts and seeds, the largest change first."""
    others = {cell.place: cell for cell in there}
    pairs = [(cell, others[cell.place]) for cell in here if cell.place in others]
    found = [_difference(mine, theirs, label(mine.place)) for mine, theirs in pairs]
    both = [difference for difference in found if difference is not None]
    return sorted(both, key=lambda difference: -abs(difference.difference.mean))


def _difference(mine: CellSummary, theirs: CellSummary, title: str) -> Difference | None:
    ours, others = _scores(mine.done), _scores(theirs.done)
    common = [mark for mark in ours if mark in others]
    if not common:
        return None
    groups: dict[int, list[float]] = defaultdict(list)
    for mark in common:
        groups[mark[0]].append(ours[mark] - others[mark])
    return Difference(
        title,
        there=sum(others[mark] for mark in common) / len(common),
        here=sum(ours[mark] for mark in common) / len(common),
        difference=mean_interval(list(groups.values())),
    )


def _scores(records: Sequence[GridRecord]) -> dict[tuple[int, int, str, int], float]:
    """The token match of each sentence, by update, seed, text and its place in the update."""
    return {
        (record.cell.index, record.cell.seed, text, place): sequence.token_match or 0.0
        for record in records
        if record.result is not None
        for place, (text, sequence) in enumerate(
            zip(record.config.sentences, record.result.sequences, strict=False)
        )
    }
