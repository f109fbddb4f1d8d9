"""Let the functions of `torch.nn.functional` that have a quicker second derivative use it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from textleak.gradients.quick.smooth import cross_entropy, gelu


class QuickSecondDerivatives(TorchFunctionMode):
    """While active, cross-entropy and GELU run as written in `smooth` wherever that is the same."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        quick = QUICK.get(func)
        if quick is not None:
            result = quick(*args, **(kwargs or {}))
            if result is not None:
                return result
        return func(*args, **(kwargs or {}))


def _gelu(input: Tensor, approximate: str = "none") -> Tensor | None:
    return gelu(input) if approximate == "none" else None


def _cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor | None:
    plain = weight is None and size_average is None and reduce is None and label_smoothing == 0
    hard = input.dim() == 2 and target.dim() == 1 and not target.is_floating_point()
    if not (plain and hard):
        return None
    ignored = target == ignore_index
    losses = cross_entropy(input, target.masked_fill(ignored, 0)).masked_fill(ignored, 0)
    if reduction == "none":
        return losses
    total = losses.sum()
    return total if reduction == "sum" else total / (~ignored).sum()


QUICK: Mapping[Any, Callable[..., Tensor | None]] = {
    F.gelu: _gelu,
    torch._C._nn.gelu: _gelu,
    F.cross_entropy: _cross_entropy,
}
