"""Convolutions: a linear layer over the unfolded patches."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from textleak.gradients.engine.factors import Dense, Product
from textleak.gradients.layers.rule import (
    Formed,
    Terms,
    by_candidate,
    constant,
    has,
    needed,
    runs_as,
)


class Conv2dRule:
    """`nn.Conv2d` with zero padding given in numbers, and one group."""

    def fits(self, module: Any) -> bool:
        if not (runs_as(module, nn.Conv2d) and has(module, "weight")):
            return False
        zeros = module.padding_mode == "zeros" and module.padding != "same"
        return bool(module.groups == 1 and zeros)

    def run(self, module: Any, inputs: Tensor) -> tuple[Tensor, Tensor]:
        # As a product with patches, whose second derivatives are products too: the library's double
        # backward of a convolution runs one grouped convolution a sample.
        weight, bias = needed(module, "weight"), constant(module, "bias")
        padding = (0, 0) if module.padding == "valid" else module.padding
        patches = F.unfold(  # (R*B, in * kernel, places)
            inputs, module.kernel_size, module.dilation, padding, module.stride
        )
        output = weight.flatten(1) @ patches
        if bias is not None:
            output = output + bias[:, None]
        reach = module.dilation[0] * (module.kernel_size[0] - 1)
        height = (inputs.shape[2] + 2 * padding[0] - reach - 1) // module.stride[0] + 1
        return output.reshape(*output.shape[:2], height, -1), patches

    def terms(self, module: Any, saved: Tensor, slope: Tensor, candidates: int) -> Terms:
        patches = saved.mT  # (R*B, places, in * kernel)
        slope = slope.flatten(2).mT  # (R*B, places, out)
        left, right = by_candidate(slope, candidates), by_candidate(patches, candidates)
        yield "weight", Product(Dense(left), right)
        if has(module, "bias"):
            yield "bias", Formed(left.sum(1))
