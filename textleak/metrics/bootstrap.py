"""How sure a mean is: bootstrap intervals over what was drawn independently."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap

from textleak.metrics.spec import AGGREGATES, Aggregate

LEVEL = 0.95
RESAMPLES = 2000


@dataclass(frozen=True)
class Interval:
    """A mean and where it may lie.

    Attributes:
        mean: over all values; or what else they come to.
        low: the lower end of the interval; None where a single group cannot show any spread.
        high: its upper end.
        values: how many values the mean is of.
        groups: how many groups of them were resampled.
    """

    mean: float
    low: float | None
    high: float | None
    values: int
    groups: int


def mean_interval(groups: Sequence[Sequence[float]]) -> Interval:
    """The mean over all values with its 95% percentile bootstrap interval (Efron 1979).

    Whole groups are resampled: the sentences of a batch were recovered together, and so were the
    same sentences under several seeds. The same groups always give the same interval.

    >>> mean_interval([[1.0, 0.0], [1.0, 1.0]]).mean
    0.75
    >>> mean_interval([[0.5]]).low is None
    True

    Raises:
        ValueError: there is no value.
    """
    sums = np.array([sum(group) for group in groups], dtype=float)
    sizes = np.array([len(group) for group in groups], dtype=float)
    if not sizes.sum():
        raise ValueError("expected at least one value, got none")
    mean = float(sums.sum() / sizes.sum())
    if len(groups) < 2:
        return Interval(mean, None, None, int(sizes.sum()), len(groups))
    result = bootstrap(
        (sums, sizes),
        _ratio,
        paired=True,
        vectorized=True,
        method="percentile",
        confidence_level=LEVEL,
        n_resamples=RESAMPLES,
        rng=np.random.default_rng(0),
    )
    low, high = (float(end) for end in result.confidence_interval)
    return Interval(mean, low, high, int(sizes.sum()), len(groups))


def interval(groups: Sequence[Sequence[float]], aggregate: Aggregate = "mean") -> Interval:
    """The same for whatever the values come to together: a median, the least or the greatest of them.

    >>> interval([[1.0, 0.0], [3.0]], "max").mean
    3.0

    Raises:
        ValueError: there is no value.
    """
    kept = [group for group in groups if group]
    if aggregate == "mean" or not kept:
        return mean_interval(kept)
    values = [value for group in kept for value in group]
    whole = float(AGGREGATES[aggregate](values))
    if len(kept) < 2:
        return Interval(whole, None, None, len(values), len(kept))
    draws = np.random.default_rng(0).integers(len(kept), size=(RESAMPLES, len(kept)))
    found = [AGGREGATES[aggregate]([v for at in draw for v in kept[at]]) for draw in draws]
    low, high = np.quantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(whole, float(low), float(high), len(values), len(kept))


def _ratio(
    sums: NDArray[np.float64], sizes: NDArray[np.float64], axis: int = -1
) -> NDArray[np.float64]:
    ratio: NDArray[np.float64] = sums.sum(axis=axis) / sizes.sum(axis=axis)
    return ratio
