"""How metrics are shown: as their run kept it, so that no outside package is needed to read a result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from textleak.metrics import METRICS, MetricView


def view_of(name: str, kept: Mapping[str, MetricView] | None = None) -> MetricView:
    """How a metric is summed up and shown: as was kept, as its package says, or plainly.

    >>> view_of("token_match").heading, view_of("unheard_of").heading
    ('token match', 'unheard_of')
    """
    if kept and name in kept:
        return kept[name]
    return METRICS.load(name).view if name in METRICS else MetricView(title=name)


def outside_scores(
    values: Mapping[str, float], kept: Mapping[str, MetricView] | None = None
) -> Iterable[str]:
    """Each score of an outside package's metric, with its heading."""
    for name, value in values.items():
        view = view_of(name, kept)
        yield f"{view.heading} {view.text(value)}"
