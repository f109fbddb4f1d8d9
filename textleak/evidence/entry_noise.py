r"""What a difference of weights knows of its own noise, number by number.

A step takes $w$ to $\mathrm{fl}(w - c g)$, which lies within half a unit in the last place of $w$ from
$w - c g$; the difference of both is exact (Sterbenz). So each number of a weight delta errs by the rounding of
its own weight: evenly spread over $\pm \mathrm{ulp}(w) / 2$, with variance $\mathrm{ulp}(w)^2 / 12$, whatever the
rate was. Weights near zero are rounded finely: what they tell is nearly exact.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from textleak.core.update import SharedUpdate


def entry_noise(update: SharedUpdate, parameters: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
    """The standard deviation of each number's rounding, float64; None of what is no weight delta.

    Args:
        update: the shared update.
        parameters: the model's weights before the step.
    """
    kept = update.metadata.weights_kept
    if kept is None:
        return None
    precision = getattr(torch, kept)
    return {
        name: rounding_of(parameters[name].detach().to(delta.device), delta, precision)
        for name, delta in update.gradients.items()
    }


def rounding_of(weight: Tensor, delta: Tensor, precision: torch.dtype) -> Tensor:
    """The deviation of the rounding of `weight` when it moved by `delta`; of their shape, float64."""
    size = torch.maximum(weight.float().abs(), (weight.float() - delta.float()).abs())
    return unit_in_last_place(size, precision) / math.sqrt(12)


def unit_in_last_place(size: Tensor, precision: torch.dtype) -> Tensor:
    """The distance of neighbouring numbers of a precision at sizes (...,); (...,) float64.

    >>> unit_in_last_place(torch.tensor([1.0, 3.0]), torch.bfloat16).tolist()
    [0.0078125, 0.015625]
    """
    about = torch.finfo(precision)
    exponent = size.double().clamp_min(about.tiny).frexp().exponent - 1
    return torch.ldexp(torch.full_like(size, about.eps, dtype=torch.float64), exponent)
