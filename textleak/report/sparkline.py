"""A curve in one line of text."""

from __future__ import annotations

import math
from collections.abc import Sequence

BARS = "▁▂▃▄▅▆▇█"
LOST = "×"  # where the curve is no number
DIVERGED = "diverged"


def sparkline(values: Sequence[float], width: int = 24) -> str:
    """The curve of `values` on a logarithmic scale where all are positive, newest at the right.

    What is infinite or no number is a cross.

    More values than `width` are thinned evenly, the newest kept.

    >>> sparkline([1000, 100, 10, 1])
    '█▆▃▁'
    >>> sparkline([1, 1])
    '▁▁'
    >>> sparkline([1, 100, float("inf"), float("nan")])
    '▁█××'
    """
    shown = list(values)
    if len(shown) > width:
        step = (len(shown) - 1) / max(1, width - 1)
        shown = [shown[round(index * step)] for index in range(width)]
    finite = [value for value in shown if math.isfinite(value)]
    if not finite:
        return LOST * len(shown)
    if min(finite) > 0:
        finite = [math.log(value) for value in finite]
    largest = max(abs(value) for value in finite) or 1.0  # so that the span cannot overflow
    finite = [value / largest for value in finite]
    low, high = min(finite), max(finite)
    span = (high - low) or 1.0
    bars = iter([BARS[round((value - low) / span * (len(BARS) - 1))] for value in finite])
    return "".join(next(bars) if math.isfinite(value) else LOST for value in shown)


def objective_text(value: float) -> str:
    """An objective for people.

    >>> objective_text(0.0123456), objective_text(float("nan"))
    ('0.01235', 'diverged')
    """
    return f"{value:.4g}" if math.isfinite(value) else DIVERGED
