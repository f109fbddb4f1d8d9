"""The numbers as files for other programs and for a README: CSV and Markdown."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from io import StringIO
from typing import get_args

from textleak.core.verdict import Word
from textleak.report.grid.curves import labeller
from textleak.report.grid.findings import EXPLAINED, defence_findings, headline, percent
from textleak.report.grid.page import heat_map
from textleak.report.grid.summary import CellSummary, Place, metrics_of, summarise, verdicts_of
from textleak.report.grid.warnings import warning_groups
from textleak.results.audited import Audited


def summary_csv(cells: Sequence[CellSummary]) -> str:
    """One line a cell: every mean with the ends of its interval."""
    metrics = metrics_of(record for cell in cells for record in cell.records)
    rates = [f"{metric}{end}" for metric in metrics for end in ("", "_low", "_high")]
    head = [*Place._fields, "updates", "sentences", "failed", *rates, "verified"]
    head += [*get_args(Word), "determined", "hidden", "seconds"]
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(head)
    for cell in cells:
        numbers: list[float | None] = []
        for metric in metrics:
            found = cell.rates.get(metric)
            numbers += [found.mean, found.low, found.high] if found else [None] * 3
        sentences = cell.rates["token_match"].values if cell.rates else 0
        proven = cell.verified.mean if cell.verified else None
        writer.writerow(
            [*cell.place, len(cell.done), sentences, cell.failed, *numbers, proven]
            + [cell.verdicts.get(word, 0) for word in get_args(Word)]
            + [cell.determined.given_away, cell.determined.hidden, cell.seconds]
        )
    return out.getvalue()


def sentences_csv(audit: Audited) -> str:
    """One line a sentence of every run."""
    metrics = metrics_of(audit.records)
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        [*Place._fields, "index", "seed", *metrics, "verdict", "determined", "margin"]
        + ["competitor", "reference", "recovered"]
    )
    for record in audit.records:
        cell, result = record.cell, record.result
        place = [getattr(cell, axis) for axis in Place._fields]
        verdicts = verdicts_of(record)
        for s, verdict in zip(result.sequences if result else (), verdicts, strict=True):
            scores = [s.score(metric) for metric in metrics]
            texts = [s.determined, s.margin, s.competitor, s.reference, s.recovered]
            writer.writerow([*place, cell.index, cell.seed, *scores, verdict, *texts])
    return out.getvalue()


def markdown(audit: Audited) -> str:
    """The summary, the verdicts, the heat map and the warnings, for a README or an issue."""
    cells = summarise(audit.records)
    label = labeller(cells, without=("defence",))
    heat = heat_map(cells, label)
    lines = [f"# {audit.config.title}", "", *headline(cells), "", "## Defences", ""]
    lines += _table(["defence", "verdict", "worst token match", "determined", "promises", "costs"])
    for finding in defence_findings(cells):
        worst = _shown(finding.worst)
        said = [" ".join(finding.promises) or "—", " ".join(finding.costs) or "—"]
        lines.append(
            _row(
                [
                    f"`{finding.defence}`",
                    finding.verdict or "",
                    worst,
                    finding.determined.shown,
                    *said,
                ]
            )
        )
    lines += ["", EXPLAINED, "", "## Token match, defence by attack", ""]
    lines += _table(["defence", *heat.columns])
    lines += [_row([f"`{row.title}`", *map(_shown, row.cells)]) for row in heat.rows]
    for group in warning_groups(audit, cells, label):
        lines += ["", f"**{group.title}**", "", *(f"- {line}" for line in group.lines)]
    return "\n".join(lines) + "\n"


def _shown(cell: CellSummary | None) -> str:
    if cell is None:
        return "—"
    found = cell.rates.get("token_match")
    if found is None:
        return "failed"
    if found.low is None or found.high is None:
        return percent(found.mean)
    return f"{percent(found.mean)} ({100 * found.low:.0f}–{100 * found.high:.0f})"


def _table(head: Sequence[str]) -> list[str]:
    return [_row(head), _row(["---"] * len(head))]


def _row(values: Sequence[str]) -> str:
    return "| " + " | ".join(value.replace("|", "\\|") for value in values) + " |"
