"""The engine and the oracle give the same distances and the same slopes, whatever the model."""

from __future__ import annotations

from unittest.mock import patch

import pytest
import torch
from gradients.cases import CASES, build
from gradients.rounding import hold_to_reference
from hypothesis import given, settings
from hypothesis import strategies as st

from textleak.gradients import Distance
from textleak.gradients.distances import KINDS
from textleak.gradients.layers import convolution


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=8, deadline=None, derandomize=True)
@given(data=st.data())
def test_distance_and_slope(name: str, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(KINDS), "kind")
    candidates = data.draw(st.integers(1, 3), "candidates")
    batch, length = data.draw(st.integers(1, 2), "batch"), data.draw(st.integers(4, 6), "length")
    case = build(name, batch, length, data.draw(st.integers(0, 1000), "seed"), torch.float32)
    shared = case.shared()
    kept = data.draw(st.lists(st.sampled_from(sorted(shared)), unique=True, max_size=4), "left out")
    rows = ("*position*", "*wpe*") if kind == "cosine" and data.draw(st.booleans(), "rows") else ()
    weights = {
        "*weight": data.draw(st.sampled_from([1.0, 2.5]), "weight"),
        **dict.fromkeys(kept, 0),
    }
    with patch.object(convolution, "FEW", data.draw(st.sampled_from([0, 1 << 16]), "few patches")):
        hold_to_reference(case, shared, Distance(kind, weights, rows), candidates)


def test_a_gradient_of_rounding_alone_does_not_spoil_the_others() -> None:
    """Attention's key bias, in a classifier where the terms that cancel in it are large."""
    case = build("bert_classifier", 2, 4, 637, torch.float32)
    hold_to_reference(case, case.shared(), Distance("relative-l2"), 2)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_models_sum_in_float32(dtype: torch.dtype) -> None:
    case = build("bert_masked", batch=1, length=5, seed=0, dtype=dtype)
    hold_to_reference(case, case.shared(), Distance(), 2)
