"""Bootstrap intervals against what they must be."""

from __future__ import annotations

import numpy as np
import pytest

from textleak.metrics.bootstrap import mean_interval


def test_it_agrees_with_the_normal_interval_where_that_holds() -> None:
    values = np.random.default_rng(1).normal(0.5, 0.1, 400)
    found = mean_interval([[value] for value in values])
    half = 1.96 * values.std() / 20
    assert found.mean == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - half, abs=0.002)
    assert found.high == pytest.approx(values.mean() + half, abs=0.002)


def test_groups_are_resampled_whole() -> None:
    rows = [[0.0] * 8, [1.0] * 8] * 5
    together = mean_interval(rows)
    alone = mean_interval([[value] for row in rows for value in row])
    assert together.mean == alone.mean == 0.5
    assert together.low is not None
    assert alone.low is not None
    assert 0.5 - together.low > 2 * (0.5 - alone.low)
    assert (together.values, together.groups) == (80, 10)


def test_it_covers_the_truth_about_as_often_as_it_says() -> None:
    draw = np.random.default_rng(2)
    hits = 0
    for _ in range(100):
        found = mean_interval([[v] for v in draw.binomial(1, 0.4, 40).astype(float)])
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= 0.4 <= found.high
    assert hits >= 88


def test_unequal_groups_weigh_by_their_sentences() -> None:
    assert mean_interval([[1.0], [0.0, 0.0, 0.0]]).mean == 0.25
    with pytest.raises(ValueError, match="at least one value"):
        mean_interval([])
