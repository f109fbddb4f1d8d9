"""The summary in plain words: what leaks, under which assumptions, which defence hides the text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from textleak.core.grid_config import NO_DEFENCE
from textleak.report.grid.defences import stack_of
from textleak.report.grid.summary import CellSummary, Determined, determined_of

Verdict = Literal[
    "hides",
    "determined, not found",
    "not found",
    "weakens",
    "does not hide",
    "too few texts",
    "not measured",
]
LITTLE = 0.2  # of the word pieces: what an attack gets of short sentences by common words alone

EXPLAINED = (
    f"Nothing is found where, for every attack, the upper end of the interval of the token match "
    f"stays at or below {LITTLE:.0%} and no sentence comes back whole. A defence then hides the text only "
    f"where no sentence is determined by its update: a determined one is likelier than every competitor "
    f"tried, and a better attack may find it. It weakens where the worst "
    f"attack recovers at most half of what the worst one does without a defence, and the intervals "
    f"do not touch. Where runs failed, neither is ever said."
)


@dataclass(frozen=True)
class DefenceFinding:
    """What a defence comes to against the worst attack on it.

    Attributes:
        defence: the defence, or `none`.
        worst: the cell in which most is recovered; None where every run failed.
        exact: the highest rate of whole sentences in any cell.
        determined: the sentences that their updates determine under it.
        verdict: whether it hides the text; empty for `none`.
        promises: what it guarantees.
        costs: what is paid for it.
        privacy: its differential-privacy guarantee, if it has one.
        failed: runs against it that came to nothing.
    """

    defence: str
    worst: CellSummary | None
    exact: float
    determined: Determined
    verdict: Verdict | None
    promises: tuple[str, ...]
    costs: tuple[str, ...]
    privacy: str | None
    failed: int


def defence_findings(cells: Sequence[CellSummary]) -> list[DefenceFinding]:
    """One finding for every defence, in the order of the grid."""
    titles = list(dict.fromkeys(cell.place.defence for cell in cells))
    base = [cell for cell in cells if cell.place.defence == NO_DEFENCE]
    return [
        _finding(title, [cell for cell in cells if cell.place.defence == title], base)
        for title in titles
    ]


def _finding(
    title: str, cells: Sequence[CellSummary], base: Sequence[CellSummary]
) -> DefenceFinding:
    specs = cells[0].records[0].config.defences
    stack = stack_of(specs)
    worst = worst_of(cells)
    seeded = any(record.config.client_seed is not None for cell in cells for record in cell.records)
    guarantee = stack.promise(seeded=seeded)
    return DefenceFinding(
        defence=title,
        worst=worst,
        exact=max((cell.rates["exact"].mean for cell in cells if cell.rates), default=0.0),
        determined=determined_of(record for cell in cells for record in cell.records),
        verdict=None if title == NO_DEFENCE else _verdict(worst, cells, worst_of(base)),
        promises=tuple(defence.promises for defence in stack.all),
        costs=tuple(defence.costs for defence in stack.all),
        privacy=guarantee.describe() if guarantee else None,
        failed=sum(cell.failed for cell in cells),
    )


def worst_of(cells: Sequence[CellSummary]) -> CellSummary | None:
    """The cell in which most is recovered."""
    measured = [cell for cell in cells if cell.rates]
    return max(measured, key=lambda cell: cell.rates["token_match"].mean, default=None)


def _verdict(
    worst: CellSummary | None, cells: Sequence[CellSummary], base: CellSummary | None
) -> Verdict:
    measured = [cell.rates for cell in cells if cell.rates]
    ends = [rates["token_match"].high for rates in measured]
    whole = any(rates["exact"].mean > 0 for rates in measured)
    doubtful: Verdict | None = "not measured" if any(cell.failed for cell in cells) else None
    if worst is None:
        return "not measured"
    if not whole and all(end is not None and end <= LITTLE for end in ends):
        few: Verdict = "too few texts" if any(cell.too_few for cell in cells) else "hides"
        return doubtful or _not_found(cells) or few
    found = worst.rates["token_match"]
    without = base.rates["token_match"] if base else None
    if without is None or found.high is None or without.low is None:
        return "does not hide"
    clearly = found.high < without.low and found.mean <= without.mean / 2
    return (doubtful or "weakens") if clearly else "does not hide"


def _not_found(cells: Sequence[CellSummary]) -> Verdict | None:
    """What keeps a text that no attack found from being called hidden."""
    found = [cell.determined for cell in cells]
    if any(one.given_away for one in found):
        return "determined, not found"
    return "not found" if any(one.unknown or not one.hidden for one in found) else None


def headline(cells: Sequence[CellSummary]) -> list[str]:
    """The first sentences of the report."""
    lines: list[str] = []
    base = worst_of([cell for cell in cells if cell.place.defence == NO_DEFENCE])
    worst = base or worst_of(cells)
    if worst is None:
        return ["No run came to a result."]
    match, exact = worst.rates["token_match"], worst.rates["exact"]
    under = "Without a defence" if base else f"Under {worst.place.defence}, the worst case"
    lines.append(
        f"{under}, {worst.place.attack} on {worst.place.model} ({worst.place.task}, "
        f"{_batch(worst.place.batch_size)}) gave back {percent(match.mean)} of the word pieces in "
        f"their places, and {percent(exact.mean)} of the sentences whole."
    )
    findings = [f for f in defence_findings(cells) if f.defence != NO_DEFENCE]
    for verdict, words in _WORDS.items():
        names = [finding.defence for finding in findings if finding.verdict == verdict]
        if names:
            lines.append(f"{words}: {'; '.join(names)}.")
    return lines


_WORDS: dict[Verdict, str] = {
    "hides": "Hid the texts: no update determines one",
    "determined, not found": "Determined by the updates, though not found by these attacks",
    "not found": "Not found by these attacks, and not known to be hidden",
    "too few texts": "Hid the texts, but too few for the claim",
    "weakens": "Weakened the attack, without stopping it",
    "does not hide": "Did not hide the texts",
    "not measured": "Not measured, as runs failed",
}


def _batch(size: int) -> str:
    return "one sentence an update" if size == 1 else f"{size} sentences an update"


def percent(rate: float) -> str:
    """A rate for people; never rounded to all or nothing when it is not.

    >>> percent(0.934), percent(0.9996), percent(0.0004), percent(1.0)
    ('93%', '>99%', '<1%', '100%')
    """
    if 0 < rate < 0.005:
        return "<1%"
    if 0.995 <= rate < 1:
        return ">99%"
    return f"{100 * rate:.0f}%"
