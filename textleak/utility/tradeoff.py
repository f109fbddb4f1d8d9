"""Accuracy beside leakage: one table and one plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from textleak.core.errors import DataError


@dataclass(frozen=True)
class Tradeoff:
    """One defence's two sides.

    Attributes:
        defence: as it is written, or `none`.
        accuracy: on held-out examples after training under it, 0 to 1.
        leakage: what the strongest attack recovers under it, 0 to 1; None where not measured.
    """

    defence: str
    accuracy: float
    leakage: float | None = None


def table(rows: Sequence[Tradeoff], leakage: str = "token match") -> str:
    """A Markdown table.

    >>> print(table([Tradeoff("none", 0.8, 1.0), Tradeoff("fp16", 0.8)]))
    | defence | accuracy | token match |
    | --- | --- | --- |
    | none | 0.80 | 1.00 |
    | fp16 | 0.80 | – |
    """
    lines = [f"| defence | accuracy | {leakage} |", "| --- | --- | --- |"]
    for row in rows:
        leaked = "–" if row.leakage is None else f"{row.leakage:.2f}"
        lines.append(f"| {row.defence} | {row.accuracy:.2f} | {leaked} |")
    return "\n".join(lines)


def plot(rows: Sequence[Tradeoff], path: str | Path, leakage: str = "token match") -> None:
    """A point a defence, accuracy to the right and leakage upwards, as PNG or SVG.

    Raises:
        DataError: the file cannot be written, or its ending is not known.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    shown = [(row.accuracy, row.leakage, row.defence) for row in rows if row.leakage is not None]
    groups: dict[tuple[float, float], list[str]] = {}
    for accuracy, leaked, defence in shown:
        groups.setdefault((round(accuracy, 2), round(leaked, 2)), []).append(defence)
    for (accuracy, leaked), names in groups.items():
        axes.plot(accuracy, leaked, "o", color="tab:blue")
        axes.annotate(
            "\n".join(names), (accuracy, leaked), (5, 3), textcoords="offset points", fontsize=8
        )
    axes.set_xlabel("accuracy")
    axes.set_ylabel(f"leakage ({leakage})")
    axes.set_ylim(-0.05, 1.15)
    axes.set_xlim(right=max((a for a, *_ in shown), default=1.0) + 0.15)
    axes.grid(alpha=0.3)
    target = Path(path)
    if target.suffix not in (".png", ".svg"):
        raise DataError(f"expected a plot called .png or .svg, got {str(target)!r}")
    try:
        figure.savefig(target, dpi=150)
    except OSError as error:
        raise DataError(f"cannot write the plot to {str(target)!r}: {error}") from error
