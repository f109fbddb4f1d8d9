"""Groups of candidates change the memory of an evaluation, never its numbers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from gradients.cases import build
from torch import Tensor

from textleak.bench.memory import peak_bytes
from textleak.gradients import Distance, EngineMatcher, value_and_slope

CANDIDATES = 6


def problem() -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """Distances by points (R, D) of a BERT, and six points."""
    case = build("bert_masked", batch=2, length=5, seed=3, dtype=torch.float64)
    matcher = EngineMatcher(case.module, case.shared(), Distance("cosine"))
    points = case.dummy(CANDIDATES * 2).detach()
    shape = points.shape[1:]

    def distances(flat: Tensor) -> Tensor:
        dummy = flat.reshape(-1, *shape)
        return matcher(
            lambda recorder: case.losses(recorder, dummy, len(flat)),
            candidates=len(flat),
            batch=2,
        )

    return distances, points.reshape(CANDIDATES, -1)


@pytest.mark.parametrize("at_once", [1, 4, 6, 9])
def test_groups_give_the_same_numbers(at_once: int) -> None:
    distances, points = problem()
    values, slopes = value_and_slope(distances, points)
    again, more = value_and_slope(distances, points, at_once)
    assert not again.requires_grad
    assert not more.requires_grad
    torch.testing.assert_close(again, values, rtol=1e-10, atol=0)
    torch.testing.assert_close(more, slopes, rtol=1e-9, atol=1e-14)


def test_groups_need_less_memory() -> None:
    distances, points = problem()
    value_and_slope(distances, points[:1])  # what is prepared once
    device = torch.device("cpu")
    whole = peak_bytes(lambda: value_and_slope(distances, points), device)
    parts = peak_bytes(lambda: value_and_slope(distances, points, 1), device)
    assert parts < 0.4 * whole
