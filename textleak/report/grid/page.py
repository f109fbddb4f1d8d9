"""The page: everything that the report says, gathered once for its template."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from textleak.metrics import MetricView
from textleak.report.grid.comparison import Difference, differences
from textleak.report.grid.curves import curves, labeller
from textleak.report.grid.findings import EXPLAINED, defence_findings, headline, percent
from textleak.report.grid.plots import draw_curve, inline_svg
from textleak.report.grid.sentences import worst_sentences
from textleak.report.grid.summary import CellSummary, Place, summarise, views_of
from textleak.report.grid.warnings import warning_groups
from textleak.results.audited import Audited
from textleak.results.record import STANDING

CLASSES = {
    "hides": "hides",
    "determined, not found": "fails",
    "not found": "few",
    "weakens": "weakens",
    "does not hide": "fails",
    "too few texts": "few",
    "not measured": "plain",
}
CAPTION = "Token match with its 95% bootstrap interval; dotted: the same attack without a defence."


@dataclass(frozen=True)
class HeatRow:
    """The cells of one defence, one a column; None where the grid has none."""

    title: str
    cells: list[CellSummary | None]


@dataclass(frozen=True)
class HeatMap:
    """Defence by attack."""

    columns: list[str]
    rows: list[HeatRow]


def render_page(audit: Audited, other: Audited | None = None) -> str:
    """The report as one HTML page that needs nothing else.

    Args:
        audit: what is reported.
        other: an audit to compare it with.
    """
    environment = Environment(
        loader=PackageLoader(__package__ or ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    environment.filters["percent"] = percent
    environment.filters |= _filters(views_of(audit.records))
    environment.filters["verdict_class"] = lambda verdict: CLASSES[verdict]
    template = environment.get_template("page.html.jinja")
    css = Path(__file__).parent.joinpath("templates", "page.css").read_text(encoding="utf-8")
    return template.render(page=page_facts(audit, other), css=Markup(css)) + "\n"


def page_facts(audit: Audited, other: Audited | None = None) -> dict[str, Any]:
    """What the page says, by the names that its template uses."""
    cells = summarise(audit.records)
    label = labeller(cells, without=("defence",))
    full = _full_label(cells)
    views = views_of(audit.records)
    return {
        "title": audit.config.title,
        "scope": _scope(audit, cells),
        "headline": headline(cells),
        "assumed": list(_threats(audit)),
        "tiles": _tiles(audit, cells),
        "first_warnings": _first_warnings(audit, cells),
        "findings": defence_findings(cells),
        "label": label,
        "explained": EXPLAINED,
        "heat": heat_map(cells, label),
        "plots": [
            {
                "title": curve.title,
                "svg": Markup(inline_svg(draw_curve(curve), curve.title)),
                "caption": CAPTION,
            }
            for curve in curves(cells)
        ],
        **_compared(cells, other, full),
        "sentences": worst_sentences(cells, label),
        "threats": [{"text": t, "count": n} for t, n in _threats(audit).items()],
        "model_notes": _model_notes(audit),
        "warnings": warning_groups(audit, cells, full),
        "axes": _axes(cells),
        "metrics": {name: view.heading for name, view in views.items()},
        "most": _most(cells, views),
        "cells": cells,
        "made": _made(audit),
    }


def _full_label(cells: Sequence[CellSummary]) -> Callable[[Place], str]:
    label = labeller(cells, without=("defence",))
    return lambda place: f"{label(place)} · {place.defence}"


def heat_map(cells: Sequence[CellSummary], label: Callable[[Place], str]) -> HeatMap:
    """Defences down, attacks and whatever else varies across."""
    columns = list(dict.fromkeys(label(cell.place) for cell in cells))
    at = {(cell.place.defence, label(cell.place)): cell for cell in cells}
    defences = list(dict.fromkeys(cell.place.defence for cell in cells))
    rows = [HeatRow(d, [at.get((d, column)) for column in columns]) for d in defences]
    return HeatMap(columns, rows)


def _filters(views: Mapping[str, MetricView]) -> dict[str, Callable[..., str]]:
    """How a metric's value and an end of its interval are written; those of every result rounded."""
    return {
        "shown": lambda x, name: percent(x) if name in STANDING else views[name].text(x),
        "end": lambda x, name: f"{100 * x:.0f}" if name in STANDING else views[name].text(x),
    }


def _most(cells: Sequence[CellSummary], views: Mapping[str, MetricView]) -> dict[str, float]:
    """Of each metric what means that most was recovered in any cell, where cells differ."""
    found = {name: [c.rates[name].mean for c in cells if name in c.rates] for name in views}
    return {name: views[name].most(of) for name, of in found.items() if len(set(of)) > 1}


def _axes(cells: Sequence[CellSummary]) -> dict[str, str]:
    """What names a cell in the table of all numbers; what is the same in all is left out."""
    names = {"share": "shared", "batch_size": "batch"}
    always = ("model", "attack", "defence")
    return {
        axis: names.get(axis, axis)
        for axis in Place._fields
        if axis in always or len({getattr(cell.place, axis) for cell in cells}) > 1
    }


def _scope(audit: Audited, cells: Sequence[CellSummary]) -> str:
    axes = {"model": "models", "attack": "attacks", "defence": "defences"}
    counts = []
    for axis, name in axes.items():
        count = len({getattr(cell.place, axis) for cell in cells})
        counts.append(f"{count} {name if count > 1 else name[:-1]}")
    return f"textleak audit: {len(audit.records)} runs over {', '.join(counts)}"


def _tiles(audit: Audited, cells: Sequence[CellSummary]) -> list[dict[str, str]]:
    sentences = {text for record in audit.records for text in record.config.sentences}
    measured = [cell for cell in cells if cell.rates]
    bare = [cell for cell in measured if not cell.records[0].config.defences]
    worst = max((c.rates["token_match"].mean for c in bare), default=None)
    verdicts = Counter(finding.verdict for finding in defence_findings(cells))
    tried = sum(count for verdict, count in verdicts.items() if verdict)
    seconds = sum(record.seconds for record in audit.records)
    return [
        {"value": "—" if worst is None else percent(worst), "name": "of the word pieces back, worst case without a defence"},
        {"value": f"{verdicts['hides']} of {tried}", "name": "defences hid every text"},
        {"value": str(len(sentences)), "name": "private texts"},
        {"value": f"{len(audit.records)} of {audit.planned}", "name": f"runs finished, {len(audit.failed)} failed"},
        {"value": f"{seconds / 3600:.1f} h" if seconds > 5400 else f"{seconds / 60:.0f} min", "name": "of attack time"},
    ]  # fmt: skip


def _first_warnings(audit: Audited, cells: Sequence[CellSummary]) -> list[str]:
    """What must be known before the first number is read."""
    lines = []
    if len(audit.records) < audit.planned:
        lines.append(f"Not finished: {_runs(audit.planned - len(audit.records))} missing.")
    if audit.failed:
        lines.append(f"{_runs(len(audit.failed))} failed, in no mean below; see Reliability.")
    few = [cell for cell in cells if cell.too_few]
    if few:
        lines.append(f"Too few texts for a claim in {len(few)} of {len(cells)} cells.")
    return lines


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"


def _threats(audit: Audited) -> Counter[str]:
    threats: Counter[str] = Counter()
    for record in audit.records:
        if record.result is not None:
            threats[record.result.threat_model.describe(record.result.task)] += 1
    return threats


def _model_notes(audit: Audited) -> list[str]:
    notes: dict[str, None] = {}
    for record in audit.records:
        if record.result is not None:
            for note in record.result.model_notes:
                notes[f"{record.cell.model} ({record.cell.task}): {note}"] = None
    return list(notes)


def _compared(
    cells: Sequence[CellSummary], other: Audited | None, label: Callable[[Place], str]
) -> dict[str, Any]:
    if other is None:
        return {"differences": [], "other": "", "compared": ""}
    found: list[Difference] = differences(cells, summarise(other.records), label)
    clear = sum(difference.clear for difference in found)
    said = f"{len(found)} cells with sentences in both; {clear} of them clearly differ."
    return {"differences": found, "other": other.folder, "compared": said}


def _made(audit: Audited) -> str:
    versions: dict[str, str] = {}
    for record in audit.records:
        if record.result is not None:
            versions.update(record.result.versions)
    return "Made with " + ", ".join(f"{name} {version}" for name, version in versions.items()) + "."
