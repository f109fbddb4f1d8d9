"""The engine and the oracle give the same distances and the same slopes, whatever the model."""

from __future__ import annotations

from unittest.mock import patch

import pytest
import torch
from gradients.cases import CASES, build, evaluate
from hypothesis import given, settings
from hypothesis import strategies as st

from textleak.gradients import Distance, EngineMatcher, OracleMatcher
from textleak.gradients.distances import KINDS
from textleak.gradients.layers import convolution

# Relative error of the slope's norm and of the distances. In float32 both ways round, at sums over
# the same hundreds of terms; the distance keeps fewer digits where it is small beside its terms.
TOLERANCE = {torch.float64: 1e-9, torch.float32: 2e-4}
NORMS_IN_FLOAT32 = {"llama"}  # by its own code, whatever the type of its weights


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=12, deadline=None, derandomize=True)
@given(data=st.data())
def test_distance_and_slope(name: str, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(KINDS), "kind")
    dtype = data.draw(st.sampled_from([torch.float64, torch.float64, torch.float32]), "dtype")
    candidates = data.draw(st.integers(1, 3), "candidates")
    batch, length = data.draw(st.integers(1, 2), "batch"), data.draw(st.integers(4, 6), "length")
    case = build(name, batch, length, data.draw(st.integers(0, 1000), "seed"), dtype)
    shared = case.shared()
    kept = data.draw(st.lists(st.sampled_from(sorted(shared)), unique=True, max_size=4), "left out")
    rows = ("*position*", "*wpe*") if kind == "cosine" and data.draw(st.booleans(), "rows") else ()
    weights = {
        "*weight": data.draw(st.sampled_from([1.0, 2.5]), "weight"),
        **dict.fromkeys(kept, 0),
    }
    distance = Distance(kind, weights, rows)
    dummy = case.dummy(candidates * batch)
    with patch.object(convolution, "FEW", data.draw(st.sampled_from([0, 1 << 16]), "few patches")):
        found = evaluate(EngineMatcher(case.module, shared, distance), case, dummy, candidates)
    expected = evaluate(OracleMatcher(case.module, shared, distance), case, dummy, candidates)
    for got, want in zip(found, expected, strict=True):
        error = float((got - want).norm() / want.norm())
        assert error < TOLERANCE[torch.float32 if name in NORMS_IN_FLOAT32 else dtype]
