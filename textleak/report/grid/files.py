"""Writes a report: the page, the tables, the plots."""

from __future__ import annotations

from pathlib import Path

from textleak.core.writing import write_bytes, write_text
from textleak.report.grid.curves import curves
from textleak.report.grid.page import render_page
from textleak.report.grid.plots import draw_curve, draw_heat_map, rendered
from textleak.report.grid.summary import summarise
from textleak.report.grid.tables import markdown, sentences_csv, summary_csv
from textleak.results.audited import Audited

PAGE = "report.html"


def write_report(folder: str | Path, audit: Audited, other: Audited | None = None) -> list[Path]:
    """Write every form of the report into `folder`; the paths, the page first.

    Raises:
        ConfigError: a file cannot be written.
    """
    cells = summarise(audit.records)
    texts = {
        PAGE: render_page(audit, other),
        "report.md": markdown(audit),
        "summary.csv": summary_csv(cells),
        "sentences.csv": sentences_csv(audit),
    }
    figures = {"heat_map": draw_heat_map(cells)}
    figures |= {curve.name: draw_curve(curve) for curve in curves(cells)}
    paths = [Path(folder) / name for name in texts]
    for path, text in zip(paths, texts.values(), strict=True):
        write_text(path, text)
    for name, figure in figures.items():
        for kind in ("svg", "png"):
            paths.append(Path(folder) / f"{name}.{kind}")
            write_bytes(paths[-1], rendered(figure, "svg" if kind == "svg" else "png"))
    return paths
