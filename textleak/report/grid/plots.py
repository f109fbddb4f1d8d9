"""The plots, drawn without a screen and without global state: SVG that takes the page's colours, PNG."""

from __future__ import annotations

import re
from collections.abc import Sequence
from io import BytesIO
from typing import Any, Literal

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from textleak.report.grid.curves import METRIC, Curve, labeller, shortened
from textleak.report.grid.summary import CellSummary

INK = "#1f2328"  # every line and letter; the SVG's is replaced by the page's own colour
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a6d3b", "#7f7f7f")
MARKERS = "osD^vP*X"
STYLE: Any = {
    "font.size": 10,
    "font.family": "sans-serif",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "textleak",
}
Format = Literal["svg", "png"]


def draw_curve(curve: Curve) -> Figure:
    """One line a label, its interval shaded, what there is without a defence dotted.

    Lines that a plot has no colours left for are left out, and their number is said.
    """
    lines = list(curve.lines.items())[: len(COLOURS)]
    left = len(curve.lines) - len(lines)
    with rc_context(STYLE):
        figure = Figure(figsize=(7.4, 3.6), layout="constrained")
        axes = figure.add_subplot()
        for number, (label, line) in enumerate(lines):
            colour = COLOURS[number % len(COLOURS)]
            xs = [x for x, _ in line]
            means = [interval.mean for _, interval in line]
            lows = [i.mean if i.low is None else i.low for _, i in line]
            highs = [i.mean if i.high is None else i.high for _, i in line]
            marker = MARKERS[number % len(MARKERS)]
            axes.plot(xs, means, color=colour, marker=marker, ms=5, label=shortened(label))
            axes.fill_between(xs, lows, highs, color=colour, alpha=0.15, linewidth=0)
            if label in curve.bases:
                axes.axhline(curve.bases[label], color=colour, lw=1, ls=(0, (2, 3)), alpha=0.8)
        if curve.base is not None:
            axes.set_xscale("log", base=curve.base)
        ticks = sorted({x for _, line in lines for x, _ in line})
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.set_xlabel(curve.axis)
        _percent_axis(axes)
        if left:
            axes.plot([], [], " ", label=f"and {left} more in the table")
        axes.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.01, 0.5))
        return figure


def _percent_axis(axes: Axes) -> None:
    axes.set_ylim(-0.03, 1.03)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_ylabel("token match")
    axes.grid(axis="y", color=INK, alpha=0.15, linewidth=0.6)


def draw_heat_map(cells: Sequence[CellSummary]) -> Figure:
    """Defence by attack, the token match in each field; a field without a result stays empty."""
    label = labeller(cells, without=("defence",))
    rows = list(dict.fromkeys(cell.place.defence for cell in cells))
    columns = list(dict.fromkeys(label(cell.place) for cell in cells))
    values = {
        (cell.place.defence, label(cell.place)): cell.rates[METRIC].mean
        for cell in cells
        if METRIC in cell.rates
    }
    grid = [[values.get((row, column), float("nan")) for column in columns] for row in rows]
    with rc_context(STYLE):
        size = (2.6 + 1.0 * len(columns), 1.9 + 0.38 * len(rows))
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.add_subplot()
        image = axes.imshow(grid, cmap="cividis", vmin=0, vmax=1, aspect="auto")
        axes.set_xticks(
            range(len(columns)), [shortened(c) for c in columns], rotation=30, ha="right"
        )
        axes.set_yticks(range(len(rows)), [shortened(row) for row in rows])
        for y, row in enumerate(grid):
            for x, value in enumerate(row):
                text = "—" if value != value else f"{100 * value:.0f}"
                ink = INK if value != value or value > 0.55 else "white"
                axes.text(x, y, text, ha="center", va="center", color=ink, fontsize=9)
        bar = figure.colorbar(image, ax=axes, format=PercentFormatter(1.0), shrink=0.9)
        bar.set_label("token match")
        return figure


def rendered(figure: Figure, kind: Format) -> bytes:
    """The figure as a file; the same figure always gives the same bytes."""
    out = BytesIO()
    with rc_context(STYLE):
        FigureCanvasAgg(figure)
        if kind == "png":
            figure.savefig(out, format="png", dpi=160, metadata={"Software": None})
        else:
            figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    return out.getvalue()


def inline_svg(figure: Figure, title: str) -> str:
    """The figure as an SVG element that takes its ink from the page around it."""
    text = rendered(figure, "svg").decode()
    text = text[text.index("<svg") :].replace(INK, "currentColor")
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    safe = title.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return text.replace("<svg ", f'<svg role="img" aria-label="{safe}" ', 1)
