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
from textleak.evidence.entry_noise import rounding_of

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
    spread = rounding_of(weight, delta, precision)[touched]
    limit = moved.to(delta.device)[touched].abs().to(spread)
    return float(torch.minimum(spread, limit).norm())


def scale_under(own: Gradients, shared: Gradients, noise: Mapping[str, float]) -> float:
    """The factor of `shared` on `own`, each tensor weighted by its noise: least squares.

    Biases that were zero are rounded finely, and know the factor better than all large weights together.
    """
    dot = square = 0.0
    for name, gradient in shared.items():
        first, second = own[name].double(), gradient.double().to(own[name].device)
        size = float(second.norm())
        unit = math.hypot(noise.get(name, 0.0), torch.finfo(torch.float32).eps * size)
        if unit > 0:
            weight = first.numel() / unit / unit
            dot += weight * float((first * second).sum())
            square += weight * float(first.square().sum())
    return dot / square if square > 0 else 1.0
