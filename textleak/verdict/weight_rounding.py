r"""What a difference of weights knows of its own noise: the weights were rounded when they moved.

A step takes $w$ to $\mathrm{fl}(w - c g)$, which lies within half a unit in the last place of $w$ from
$w - c g$; the difference of both is exact (Sterbenz). So each number of a weight delta errs by the rounding of
its own weight: evenly spread over $\pm \mathrm{ulp}(w) / 2$, with variance $\mathrm{ulp}(w)^2 / 12$, and never by
more than it should have moved where that is less than half a unit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from textleak.core.update import SharedUpdate

Gradients = Mapping[str, Tensor]


def weight_rounding(
    update: SharedUpdate, parameters: Mapping[str, Tensor], own: Gradients, scale: float
) -> dict[str, float]:
    """The norm of the rounding in each tensor of a weight delta; nothing for other updates.

    Args:
        update: the shared update.
        parameters: the model's weights before the step.
        own: the recovered batch's update.
        scale: the factor of the shared update on it.
    """
    kept = update.metadata.weights_kept
    if kept is None:
        return {}
    precision = getattr(torch, kept)
    return {
        name: _norm(parameters[name].detach().to(delta.device), delta, scale * own[name], precision)
        for name, delta in update.gradients.items()
    }


def _norm(weight: Tensor, delta: Tensor, moved: Tensor, precision: torch.dtype) -> float:
    touched = (delta != 0) | (moved != 0).to(delta.device)
    size = (weight.float().abs() + delta.float().abs())[touched]
    spread = unit_in_last_place(size, precision) / math.sqrt(12)
    limit = moved.to(delta.device)[touched].abs().to(spread)
    return float(torch.minimum(spread, limit).norm())


def unit_in_last_place(size: Tensor, precision: torch.dtype) -> Tensor:
    """The distance of neighbouring numbers of a precision at sizes (...,); (...,) float64.

    >>> unit_in_last_place(torch.tensor([1.0, 3.0]), torch.bfloat16).tolist()
    [0.0078125, 0.015625]
    """
    about = torch.finfo(precision)
    exponent = size.double().clamp_min(about.tiny).frexp().exponent - 1
    return torch.ldexp(torch.full_like(size, about.eps, dtype=torch.float64), exponent)
