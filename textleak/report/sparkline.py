"""A curve in one line of text."""

from __future__ import annotations

import math
from collections.abc import Sequence

BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], width: int = 24) -> str:
    """The curve of `values` on a logarithmic scale where all are positive, newest at the right.

    More values than `width` are thinned evenly, the newest kept.

    >>> sparkline([1000, 100, 10, 1])
    '█▆▃▁'
    >>> sparkline([1, 1])
    '▁▁'
    """
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return ""
    if len(finite) > width:
        step = (len(finite) - 1) / max(1, width - 1)
        finite = [finite[round(index * step)] for index in range(width)]
    if min(finite) > 0:
        finite = [math.log(value) for value in finite]
    largest = max(abs(value) for value in finite) or 1.0  # so that the span cannot overflow
    finite = [value / largest for value in finite]
    low, high = min(finite), max(finite)
    span = (high - low) or 1.0
    return "".join(BARS[round((value - low) / span * (len(BARS) - 1))] for value in finite)
