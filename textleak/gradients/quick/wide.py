"""Products of a few rows with a very large weight, in the order that the processor is quick at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

FEW_ROWS = 16
LARGE = 1 << 22
CHUNK = 256


def linear(inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`F.linear` with a constant weight.

    A classifier over a vocabulary sees a handful of rows. On a CPU the library's `inputs @ weightᵀ`
    then reaches a third of the memory's rate, and the other order of the factors, or a product
    split along the vocabulary, two thirds.
    """
    rows = inputs.numel() // inputs.shape[-1]
    if inputs.device.type != "cpu" or rows > FEW_ROWS or weight.numel() < LARGE:
        return F.linear(inputs, weight, bias)
    output = _out_of_weight(inputs.reshape(rows, -1), weight)
    output = output if bias is None else output + bias
    return output.view(*inputs.shape[:-1], len(weight))


class _OutOfWeight(torch.autograd.Function):
    """inputs (n, in) to inputs @ weightᵀ (n, out)."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(weight)
        return (weight @ inputs.T).T.contiguous()

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None]:
        return _into_weight(slope, *ctx.saved_tensors), None


class _IntoWeight(torch.autograd.Function):
    """slope (n, out) to slope @ weight (n, in), the adjoint of `_OutOfWeight`."""

    @staticmethod
    def forward(ctx: Any, slope: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(weight)
        chunks = len(weight) // CHUNK
        whole = chunks * CHUNK
        left = slope[:, :whole].reshape(-1, chunks, CHUNK).transpose(0, 1)  # (chunks, n, CHUNK)
        total = (left @ weight[:whole].view(chunks, CHUNK, -1)).sum(0)
        return total.addmm_(slope[:, whole:], weight[whole:])

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None]:
        return _out_of_weight(slope, *ctx.saved_tensors), None


_out_of_weight: Callable[..., Tensor] = _OutOfWeight.apply
_into_weight: Callable[..., Tensor] = _IntoWeight.apply
