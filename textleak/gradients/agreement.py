"""How well two sets of gradients agree: what a recovery is verified by."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import median
from typing import NamedTuple

import torch
from torch import Tensor

from textleak.gradients.plain import relative_error

_NEGLIGIBLE = 1e-6  # a tensor this far below the median is rounding (the attention key bias)
_TOTAL = 1e-3
_WORST = 0.1


class Agreement(NamedTuple):
    """Relative errors of recomputed gradients against the shared ones.

    Attributes:
        error: ||g - G|| / ||G|| over all shared tensors.
        rounding: what rounding alone may make of it, by the type of the shared tensors.
        worst: the largest ||g - G|| / ||G|| of a single tensor, those that are only rounding left
            out. One wrong word hides in `error` when the large tensors do not see it; measured on
            BERT, it changes some tensor by more than its own size.
    """

    error: float
    worst: float
    rounding: float

    @property
    def exact(self) -> bool:
        """Whether both are at the level of rounding: the recovery is proven."""
        return self.error < max(_TOTAL, self.rounding) and self.worst < _WORST


def agreement(gradients: Mapping[str, Tensor], shared: Mapping[str, Tensor]) -> Agreement:
    """Compare recomputed gradients with the shared ones.

    What was shared in half precision is compared in half precision: the recomputed gradients are
    rounded as the client's were, also where the numbers have been widened since.

    Raises:
        KeyError: a shared tensor is missing from `gradients`.

    >>> agreement({"w": torch.tensor([3.0, 4.0])}, {"w": torch.tensor([3.0, 4.0])}).exact
    True
    """
    precision = _precision(shared)
    if precision is not None:
        gradients = {name: gradients[name].to(precision) for name in shared}
    sizes = {name: _root_mean_square(target) for name, target in shared.items()}
    present = [size for size in sizes.values() if size > 0]
    least = _NEGLIGIBLE * median(present) if present else 0.0
    errors = [
        relative_error(gradients, {name: target})
        for name, target in shared.items()
        if sizes[name] > least
    ]
    rounding = max((torch.finfo(target.dtype).eps for target in shared.values()), default=0.0)
    return Agreement(relative_error(gradients, shared), max(errors, default=0.0), rounding)


def _precision(shared: Mapping[str, Tensor]) -> torch.dtype | None:
    """The half-precision type that holds every shared number exactly, if there is one."""
    for dtype in (torch.bfloat16, torch.float16):
        if all(
            bool((tensor.to(dtype).to(tensor.dtype) == tensor).all()) for tensor in shared.values()
        ):
            return dtype
    return None


def _root_mean_square(tensor: Tensor) -> float:
    norm = float(torch.linalg.vector_norm(tensor, dtype=torch.float64))
    return norm / math.sqrt(max(tensor.numel(), 1))
