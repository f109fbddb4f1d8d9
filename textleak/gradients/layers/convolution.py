"""Convolutions: formed gradients where maps are large, products with patches where they are small."""

from __future__ import annotations

import math
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from textleak.gradients.engine.factors import Dense, Product, thinner
from textleak.gradients.layers.channel_norms import channel_sums
from textleak.gradients.layers.rule import (
    Formed,
    Terms,
    by_candidate,
    constant,
    has,
    needed,
    runs_as,
)
from textleak.gradients.matcher import accumulation
from textleak.gradients.quick.convolution import Sliding, convolve, kernel_gradient

FEW = 1 << 16  # numbers in patches below which one product beats the overhead of a convolution


class Conv2dRule:
    """`nn.Conv2d` with zero padding given in numbers."""

    def fits(self, module: Any) -> bool:
        zeros = getattr(module, "padding_mode", "") == "zeros" and module.padding != "same"
        return bool(zeros and runs_as(module, nn.Conv2d) and has(module, "weight"))

    def run(self, module: Any, inputs: Tensor) -> tuple[Tensor, Tensor]:
        weight, bias = needed(module, "weight"), constant(module, "bias")
        sliding = _sliding(module)
        if sliding.groups > 1 or _patch_numbers(inputs, weight, sliding) > FEW:
            return convolve(inputs, weight, bias, sliding), inputs
        patches = _unfold(inputs, weight, sliding)  # (R*B, in * kernel, places)
        output = weight.flatten(1) @ patches
        if bias is not None:
            output = output + bias[:, None]
        height, _ = _places(inputs, weight, sliding)
        return output.reshape(*output.shape[:2], height, -1), patches

    def terms(self, module: Any, saved: Tensor, slope: Tensor, candidates: int) -> Terms:
        sliding, weight = _sliding(module), needed(module, "weight")
        slope = slope.to(accumulation(slope))
        tokens = len(slope) // candidates * slope[0, 0].numel()
        thin = thinner(tokens, *weight.flatten(1).shape)
        if sliding.groups == 1 and (saved.dim() == 3 or thin):
            patches = saved if saved.dim() == 3 else _unfold(saved, weight, sliding)
            left = by_candidate(slope.flatten(2).mT, candidates)
            yield "weight", Product(Dense(left), by_candidate(patches.mT, candidates))
        else:
            values = kernel_gradient(saved.to(slope), slope, weight.shape, sliding, candidates)
            yield "weight", Formed(values)
        if has(module, "bias"):
            yield "bias", Formed(channel_sums(slope, candidates))


def _sliding(module: Any) -> Sliding:
    padding = (0, 0) if module.padding == "valid" else module.padding
    return Sliding(module.stride, padding, module.dilation, module.groups)


def _places(inputs: Tensor, weight: Tensor, sliding: Sliding) -> list[int]:
    """Height and width of the output."""
    axes = zip(inputs.shape[2:], weight.shape[2:], *sliding[:3], strict=True)
    return [
        (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
        for size, kernel, stride, padding, dilation in axes
    ]


def _patch_numbers(inputs: Tensor, weight: Tensor, sliding: Sliding) -> int:
    return len(inputs) * weight[0].numel() * math.prod(_places(inputs, weight, sliding))


def _unfold(inputs: Tensor, weight: Tensor, sliding: Sliding) -> Tensor:
    """The patches that the kernel sees, (R*B, in * kernel, places)."""
    return F.unfold(inputs, weight.shape[2:], sliding.dilation, sliding.padding, sliding.stride)
