"""LAMP's discrete moves: the words of one sentence in another order (section 4.2)."""

from __future__ import annotations

import torch
from torch import Tensor

KINDS = 4


def reorderings(length: int, count: int) -> list[Tensor]:
    """The order as it is, then random changes of it: every kind in turn, (length,) each.

    The kinds are: two words swapped, one word moved, a run of words moved, a prefix put at the end.

    Args:
        length: how many words there are.
        count: how many orders are wanted.
    """
    whole = torch.arange(length)
    return [whole] + [_changed(length, number % KINDS) for number in range(1, count)]


def _changed(length: int, kind: int) -> Tensor:
    order = torch.arange(length)
    if kind == 0:
        one, other = _draw(length), _draw(length)
        order[one], order[other] = other, one
        return order
    if kind == 1:
        start = _draw(length)
        return _moved(order, start, start + 1)
    if kind == 2:
        one, other = sorted((_draw(length + 1), _draw(length + 1)))
        return _moved(order, one, other)
    return order.roll(-_draw(length))


def _moved(order: Tensor, start: int, stop: int) -> Tensor:
    """The run from `start` to `stop` put somewhere else."""
    rest = torch.cat([order[:start], order[stop:]])
    at = _draw(len(rest) + 1)
    return torch.cat([rest[:at], order[start:stop], rest[at:]])


def _draw(below: int) -> int:
    return int(torch.randint(below, ()))
