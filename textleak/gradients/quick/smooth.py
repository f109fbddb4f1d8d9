"""Cross-entropy and GELU whose second derivatives are written out, in as few passes as they need.

PyTorch differentiates these twice through compositions of single operations. Over a vocabulary, and
over a wide hidden layer, those passes cost more than the products beside them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class _CrossEntropy(torch.autograd.Function):
    """Logits (n, C) and labels (n,) to losses (n,)."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor) -> Tensor:
        peak = logits.amax(1, keepdim=True)
        chances = torch.sub(logits, peak).exp_()
        total = chances.sum(1, keepdim=True)
        chances /= total
        ctx.save_for_backward(logits, chances, labels)
        picked = logits.gather(1, labels.unsqueeze(1))
        return (total.log() + peak - picked).squeeze(1)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None]:
        logits, chances, labels = ctx.saved_tensors
        return _cross_entropy_slope(slope, logits, chances, labels), None


class _CrossEntropySlope(torch.autograd.Function):
    """slope (n,) to the logits' gradient slope * (chances - one-hot label), (n, C)."""

    @staticmethod
    def forward(ctx: Any, slope: Tensor, logits: Tensor, chances: Tensor, labels: Tensor) -> Tensor:
        ctx.save_for_backward(slope, chances, labels)
        slope = slope.unsqueeze(1)
        return (chances * slope).scatter_add_(1, labels.unsqueeze(1), -slope)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor | None, ...]:
        slope, chances, labels = ctx.saved_tensors
        mean = torch.linalg.vecdot(outer, chances).unsqueeze(1)  # (n, 1)
        to_slope = mean - outer.gather(1, labels.unsqueeze(1))
        to_logits = (outer - mean).mul_(chances).mul_(slope.unsqueeze(1))
        return to_slope.squeeze(1), to_logits, None, None


class _Gelu(torch.autograd.Function):
    """The exact GELU, x Phi(x)."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor) -> Tensor:
        ctx.save_for_backward(inputs)
        return torch.nn.functional.gelu(inputs)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        return _gelu_slope(slope, *ctx.saved_tensors)


class _GeluSlope(torch.autograd.Function):
    """slope to slope * gelu'(inputs)."""

    @staticmethod
    def forward(ctx: Any, slope: Tensor, inputs: Tensor) -> Tensor:
        ctx.save_for_backward(slope, inputs)
        return _times_derivative(slope, inputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor, Tensor]:
        slope, inputs = ctx.saved_tensors
        # gelu'' = (2 - x²) phi(x), with phi the normal density.
        squared = inputs.square()
        curve = (squared * -0.5).exp_().mul_(squared.neg_().add_(2)).mul_(slope).mul_(outer)
        to_inputs = curve.mul_(1 / math.sqrt(2 * math.pi))
        return _times_derivative(outer, inputs), to_inputs


_times_derivative: Callable[[Tensor, Tensor], Tensor] = torch.ops.aten.gelu_backward
_cross_entropy_slope: Callable[..., Tensor] = _CrossEntropySlope.apply
_gelu_slope: Callable[..., Tensor] = _GeluSlope.apply

cross_entropy: Callable[[Tensor, Tensor], Tensor] = _CrossEntropy.apply
gelu: Callable[[Tensor], Tensor] = _Gelu.apply
