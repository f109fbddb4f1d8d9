"""Convolutions by constant kernels, and kernels' gradients, with the derivatives that are asked for only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.grad import conv2d_input, conv2d_weight


class Sliding(NamedTuple):
    """How a kernel slides: the settings of a convolution beside its weights."""

    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int = 1


class _Convolve(torch.autograd.Function):
    """A convolution by a constant kernel.

    The library's second derivative of a convolution also works out the kernel's, which is not asked.
    """

    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, kernel: Tensor, bias: Tensor | None, sliding: Sliding
    ) -> Tensor:
        ctx.save_for_backward(kernel)
        ctx.sliding, ctx.shape = sliding, inputs.shape
        return F.conv2d(inputs, kernel, bias, *sliding)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None, None, None]:
        (kernel,) = ctx.saved_tensors
        return _spread(slope, kernel, ctx.shape, ctx.sliding), None, None, None


class _Spread(torch.autograd.Function):
    """The adjoint of `_Convolve`: a slope at its output to the slope at its input."""

    @staticmethod
    def forward(
        ctx: Any, slope: Tensor, kernel: Tensor, shape: torch.Size, sliding: Sliding
    ) -> Tensor:
        ctx.save_for_backward(kernel)
        ctx.sliding = sliding
        return _to_inputs(shape, kernel, slope, *sliding)

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor, None, None, None]:
        (kernel,) = ctx.saved_tensors
        return convolve(outer, kernel, None, ctx.sliding), None, None, None


class _KernelGradient(torch.autograd.Function):
    """Each candidate's gradient of a kernel, (R, *kernel).

    The library differentiates it by a grouped convolution a sample; two plain ones do.
    """

    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        slope: Tensor,
        kernel: torch.Size,
        sliding: Sliding,
        candidates: int,
    ) -> Tensor:
        ctx.save_for_backward(inputs, slope)
        ctx.sliding = sliding
        pairs = zip(inputs.chunk(candidates), slope.chunk(candidates), strict=True)
        return torch.stack([_to_kernel(one, kernel, other, *sliding) for one, other in pairs])

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, ...]:
        (kernels,) = outer  # (R, *kernel)
        inputs, slope = ctx.saved_tensors
        parts = zip(
            inputs.chunk(len(kernels)), slope.chunk(len(kernels)), kernels.unbind(), strict=True
        )
        slopes = [
            (
                _to_inputs(one.shape, kernel, other, *ctx.sliding),
                F.conv2d(one, kernel, None, *ctx.sliding),
            )
            for one, other, kernel in parts
        ]
        to_inputs, to_slope = (torch.cat(each) for each in zip(*slopes, strict=True))
        return to_inputs, to_slope, None, None, None


_to_inputs: Callable[..., Tensor] = conv2d_input
_to_kernel: Callable[..., Tensor] = conv2d_weight
convolve: Callable[..., Tensor] = _Convolve.apply
_spread: Callable[..., Tensor] = _Spread.apply
kernel_gradient: Callable[..., Tensor] = _KernelGradient.apply
