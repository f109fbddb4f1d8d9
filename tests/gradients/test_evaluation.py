"""An evaluation without a second-order graph gives the same distances."""

from __future__ import annotations

import pytest
import torch

from tests.gradients.cases import CASES, build
from textleak.gradients import Distance, EngineMatcher, OracleMatcher
from textleak.gradients.matcher import Matcher


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("kind", [EngineMatcher, OracleMatcher])
def test_same_distances_and_no_graph(name: str, kind: type[Matcher]) -> None:
    case = build(name, 1, 4, 0, torch.float64)
    matcher = kind(case.module, case.shared(), Distance())
    forward = case.forward(case.dummy(2), 2)
    expected = matcher(forward, candidates=2, batch=1)
    found = matcher(forward, candidates=2, batch=1, differentiable=False)
    assert expected.requires_grad
    assert not found.requires_grad
    torch.testing.assert_close(found, expected.detach())
