"""A first step of Adam is told from its own tracks in the weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from textleak.updates.first_step import first_adam_step


def moved(solver: Any, **how: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """What a step took off a table, of which a few rows were looked up, and a weight; and both before."""
    draws = torch.Generator().manual_seed(0)
    before = {
        "table": 0.05 * torch.randn(200, 16, generator=draws),
        "weight": 0.05 * torch.randn(16, 16, generator=draws),
    }
    copies = {name: nn.Parameter(tensor.clone()) for name, tensor in before.items()}
    for copy in copies.values():
        copy.grad = 1e-3 * torch.randn(copy.shape, generator=draws)
    copies["table"].grad[5:] = 0  # type: ignore[index]
    solver(list(copies.values()), **how).step()
    return {name: before[name] - copy.detach() for name, copy in copies.items()}, before


@pytest.mark.parametrize("rate", [5e-5, 1e-3])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_it_is_recognised_with_its_rate_and_decay(rate: float, decay: float) -> None:
    step = first_adam_step(*moved(torch.optim.AdamW, lr=rate, weight_decay=decay))
    assert step is not None
    assert step.signed
    assert step.rate == pytest.approx(rate, rel=0.02)
    assert (step.weight_decay or 0.0) == pytest.approx(decay, rel=0.1)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd_is_none(momentum: float) -> None:
    assert first_adam_step(*moved(torch.optim.SGD, lr=0.1, momentum=momentum)) is None
