"""What makes an audit's numbers unreliable, gathered from its runs and from the audit as a whole."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from textleak.report.grid.defences import stack_of
from textleak.report.grid.summary import CellSummary, Place
from textleak.results.audited import Audited

MOST = 12  # lines of one group before the rest is only counted
_NUMBER = re.compile(r"\d+(\.\d+)?(e[+-]?\d+)?")


@dataclass(frozen=True)
class WarningGroup:
    """Warnings of one kind."""

    title: str
    lines: list[str]


def warning_groups(
    audit: Audited, cells: Sequence[CellSummary], label: Callable[[Place], str]
) -> list[WarningGroup]:
    """Everything that a reader must hold against the numbers; empty where there is nothing."""
    groups = [
        WarningGroup("The audit is not finished", _unfinished(audit)),
        WarningGroup("Runs that failed count nowhere", _failures(audit)),
        WarningGroup("Results that do not belong together", _mixtures(audit)),
        WarningGroup("Too few texts for the claim", _too_few(cells, label)),
        WarningGroup("Noise that can be drawn again", _seeded(audit)),
        WarningGroup("Said by the runs themselves", _said(audit)),
    ]
    return [WarningGroup(g.title, _first(g.lines)) for g in groups if g.lines]


def _unfinished(audit: Audited) -> list[str]:
    left = audit.planned - len(audit.records)
    if not left:
        return []
    return [f"{_times(left)} of {audit.planned} missing: the same textleak audit goes on"]


def _failures(audit: Audited) -> list[str]:
    said = Counter((r.cell.attack, r.cell.defence, r.error or "") for r in audit.failed)
    return [
        f"{attack} under {defence}: {_times(count)}: {error}"
        for (attack, defence, error), count in said.most_common()
    ]


def _mixtures(audit: Audited) -> list[str]:
    done = [record for record in audit.records if record.result is not None]
    versions: dict[str, set[str]] = defaultdict(set)
    weights: dict[tuple[str, str], set[str]] = defaultdict(set)
    for record in done:
        assert record.result is not None
        for package, version in record.result.versions.items():
            versions[package].add(version)
        weights[record.cell.model, record.cell.task].add(record.fingerprint)
    lines = [
        f"made with several versions of {package}: {', '.join(sorted(found))}"
        for package, found in versions.items()
        if len(found) > 1
    ]
    return lines + [
        f"made with several weights of {model} ({task})"
        for (model, task), found in weights.items()
        if len(found) > 1
    ]


def _too_few(cells: Sequence[CellSummary], label: Callable[[Place], str]) -> list[str]:
    reasons: dict[str, list[str]] = defaultdict(list)
    for cell in cells:
        if cell.too_few:
            reasons[cell.too_few].append(label(cell.place))
    return [
        f"{reason}: {len(names)} of {len(cells)} cells ({_names(dict.fromkeys(names))})"
        for reason, names in reasons.items()
    ]


def _said(audit: Audited) -> list[str]:
    """What the runs warn of, counted; numbers differ from run to run and are left out."""
    said: Counter[str] = Counter()
    for record in audit.records:
        if record.result is not None:
            said.update({_NUMBER.sub("…", warning) for warning in record.result.warnings})
    return [f"{warning} ({_times(count)})" for warning, count in said.most_common()]


def _seeded(audit: Audited) -> list[str]:
    """Runs whose defences draw noise from a seed that the grid gives."""
    count = sum(
        record.config.client_seed is not None
        and any(not d.reproducible for d in stack_of(record.config.defences).all)
        for record in audit.records
    )
    if not count:
        return []
    return [
        f"its seed is known in {_times(count)}, so that they can be repeated: no attack was told, but "
        "who knows the seed takes the noise off (client_seeded: false leaves it to the operating system)"
    ]


def _names(names: Iterable[str]) -> str:
    known = list(names)
    more = f" and {len(known) - 3} more" if len(known) > 3 else ""
    return "; ".join(known[:3]) + more


def _times(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"


def _first(lines: list[str]) -> list[str]:
    if len(lines) <= MOST:
        return lines
    return [*lines[:MOST], f"and {len(lines) - MOST} more"]
