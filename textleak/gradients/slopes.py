"""Distances of many candidates and their slopes, with no more of them in memory than there is room for."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def value_and_slope(
    distances: Callable[[Tensor], Tensor], points: Tensor, at_once: int | None = None
) -> tuple[Tensor, Tensor]:
    """Evaluate candidates in groups, each group's graph given up before the next is made.

    Candidates do not depend on one another, so the groups change the memory and the time alone: one
    pass over all is the quickest, and holds every candidate's activations.

    Args:
        distances: maps points (r, D) to distances (r,), differentiably, for any r.
        points: (R, D).
        at_once: how many candidates a pass takes at most; None is all of them.

    Returns:
        Distances (R,) and their slopes (R, D), without a graph.

    >>> value_and_slope(lambda x: x.square().sum(1), torch.tensor([[3.0], [1.0]]), at_once=1)
    (tensor([9., 1.]), tensor([[6.],
            [2.]]))
    """
    values, slopes = [], []
    for group in torch.split(points.detach(), at_once or max(1, len(points))):
        leaf = group.clone().requires_grad_()
        found = distances(leaf)
        values.append(found.detach())
        slopes.append(torch.autograd.grad(found.sum(), leaf)[0])
    return torch.cat(values), torch.cat(slopes)
