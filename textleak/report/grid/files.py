"""Writes a report: the page, the tables, the plots."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from textleak.core.errors import ConfigError
from textleak.core.registry import Registry
from textleak.core.writing import write_bytes, write_text
from textleak.report.grid.curves import curves
from textleak.report.grid.page import render_page
from textleak.report.grid.plots import draw_curve, draw_heat_map, rendered
from textleak.report.grid.summary import summarise
from textleak.report.grid.tables import markdown, sentences_csv, summary_csv
from textleak.results.audited import Audited, BaseAudited

PAGE = "report.html"
WRITERS: Registry[Callable[..., list[Path]]] = Registry(
    "modality",
    {
        "text": "textleak.report.grid.files:write_text_report",
        "image": "textleak.report.grid.images:write_images",
    },
)


def write_report(
    folder: str | Path, audit: BaseAudited[Any, Any], other: BaseAudited[Any, Any] | None = None
) -> list[Path]:
    """Write every form of the report into `folder`; the paths, the page first.

    Raises:
        ConfigError: a file cannot be written, or the two audits are not of the same kind of data.
    """
    kind = audit.config.MODALITY
    if other is not None and kind != other.config.MODALITY:
        raise ConfigError(
            f"expected an audit on {kind} to compare with, got {other.config.MODALITY}"
        )
    return WRITERS.load(kind)(folder, audit, other)


def write_text_report(
    folder: str | Path, audit: Audited, other: Audited | None = None
) -> list[Path]:
    """Write every form of the report on texts.

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
