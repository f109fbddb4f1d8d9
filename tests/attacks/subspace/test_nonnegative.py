"""Active sets against scipy's solver."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import nnls

from textleak.attacks.subspace.nonnegative import nonnegative_least_squares


@given(
    rows=st.integers(1, 30),
    columns=st.integers(1, 20),
    seed=st.integers(0, 10_000),
    warm=st.booleans(),
)
def test_the_residual_is_the_least(rows: int, columns: int, seed: int, warm: bool) -> None:
    rng = np.random.default_rng(seed)
    matrix, target = rng.normal(size=(rows, columns)), rng.normal(size=rows)
    support = np.flatnonzero(rng.random(columns) < 0.5) if warm else None
    if support is not None:
        support = support[:rows]
    found = nonnegative_least_squares(matrix, target, support)
    assert found.min(initial=0) >= 0
    least = nnls(matrix, target)[1]
    assert np.linalg.norm(matrix @ found - target) <= least * (1 + 1e-6) + 1e-6
