"""Recovery along an axis: what the plots show of the strength of a defence and of the batch size."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from textleak.metrics.bootstrap import Interval
from textleak.report.grid.defences import stack_of
from textleak.report.grid.summary import CellSummary, Place

METRIC = "token_match"
SHORT = 34  # characters of a label that a plot has room for


@dataclass(frozen=True)
class Curve:
    """One plot.

    Attributes:
        name: the plot's file.
        title: what it shows.
        axis: what runs along it.
        base: of a logarithmic axis; None for a linear one.
        lines: by label, the axis's values with the token match there.
        bases: by label, the token match without a defence.
    """

    name: str
    title: str
    axis: str
    base: int | None
    lines: dict[str, list[tuple[float, Interval]]] = field(default_factory=dict)
    bases: dict[str, float] = field(default_factory=dict)


def curves(cells: Sequence[CellSummary]) -> list[Curve]:
    """Every plot that the grid has at least two places for."""
    found = [*_strengths(cells), _batch_sizes(cells)]
    return [curve for curve in found if any(len(line) > 1 for line in curve.lines.values())]


def _strengths(cells: Sequence[CellSummary]) -> list[Curve]:
    """One plot for every defence that stands alone in several strengths."""
    label = labeller(cells, without=("defence",))
    plots: dict[str, Curve] = {}
    for cell in cells:
        strength = strength_of(cell)
        if strength is None or METRIC not in cell.rates:
            continue
        name, option, value = strength
        title = f"Recovery against {name}"
        base = None if option in _SHARES else 10
        curve = plots.setdefault(name, Curve(name, title, f"{name}: {option}", base))
        curve.lines.setdefault(label(cell.place), []).append((value, cell.rates[METRIC]))
    bases = {label(c.place): c.rates[METRIC].mean for c in cells if _bare(c)}
    for curve in plots.values():
        curve.bases.update({key: bases[key] for key in curve.lines if key in bases})
        for line in curve.lines.values():
            line.sort(key=lambda point: point[0])
    return list(plots.values())


def strength_of(cell: CellSummary) -> tuple[str, str, float] | None:
    """The name, option and value of a defence that stands alone and has one number above 0."""
    specs = cell.records[0].config.defences
    if len(specs) != 1:
        return None
    defence = stack_of(specs).all[0]
    numbers = {
        key: float(value)
        for key, value in defence.options.model_dump().items()
        if isinstance(value, int | float) and not isinstance(value, bool) and value > 0
    }
    if not numbers:
        return None
    option = next((key for key in _STRENGTHS if key in numbers), next(iter(numbers)))
    return defence.name, option, numbers[option]


_SHARES = ("ratio", "keep", "rate")  # fractions: of entries, on a linear axis
_STRENGTHS = ("std", "noise", "ratio", "keep", "norm", "steps")


def _bare(cell: CellSummary) -> bool:
    return not cell.records[0].config.defences and METRIC in cell.rates


def _batch_sizes(cells: Sequence[CellSummary]) -> Curve:
    """Recovery over batch sizes; where there are cells without a defence, of these only."""
    bare = [cell for cell in cells if _bare(cell)]
    shown = bare or [cell for cell in cells if METRIC in cell.rates]
    label = labeller(shown, without=("batch_size",))
    lines: dict[str, list[tuple[float, Interval]]] = defaultdict(list)
    for cell in shown:
        lines[label(cell.place)].append((float(cell.place.batch_size), cell.rates[METRIC]))
    ordered = {key: sorted(line, key=lambda point: point[0]) for key, line in lines.items()}
    title = "Recovery against batch size" + (", without a defence" if bare else "")
    return Curve("batch_size", title, "sentences an update", 2, ordered)


def labeller(cells: Sequence[CellSummary], without: Sequence[str] = ()) -> Callable[[Place], str]:
    """A name for places: the attack, and whatever else varies in this grid."""
    varying = [
        axis
        for axis in Place._fields
        if axis not in without
        and (axis == "attack" or len({getattr(cell.place, axis) for cell in cells}) > 1)
    ]

    def label(place: Place) -> str:
        values = {axis: getattr(place, axis) for axis in varying}
        if "batch_size" in values:
            values["batch_size"] = f"batch {values['batch_size']}"
        first = values.pop("attack", None)
        return " · ".join(str(value) for value in [first, *values.values()] if value is not None)

    return label


def shortened(text: str) -> str:
    """A label cut to the room that a plot has.

    >>> shortened("short"), len(shortened("x" * 99))
    ('short', 34)
    """
    return text if len(text) <= SHORT else text[: SHORT - 1] + "…"
