"""Linear layers: the weight's gradient is a product of the input and the output's gradient."""

from __future__ import annotations

from typing import Any

import torch
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
from textleak.gradients.quick.wide import linear


class LinearRule:
    """`nn.Linear`: the weight is (out, in), its gradient slopeᵀ input."""

    def fits(self, module: Any) -> bool:
        return runs_as(module, nn.Linear) and has(module, "weight")

    def run(self, module: Any, inputs: Tensor) -> tuple[Tensor, Tensor]:
        return linear(inputs, needed(module, "weight"), constant(module, "bias")), inputs

    def terms(self, module: Any, saved: Tensor, slope: Tensor, candidates: int) -> Terms:
        slope = by_candidate(slope, candidates)
        yield "weight", Product(Dense(slope), by_candidate(saved, candidates))
        if has(module, "bias"):
            yield "bias", Formed(slope.sum(1))


class TransposedRule:
    """GPT-2's `Conv1D`, known by its shape: the weight is (in, out), its gradient inputᵀ slope."""

    def fits(self, module: Any) -> bool:
        if type(module).__name__ != "Conv1D" or "forward" in module.__dict__:
            return False
        weight, bias = constant(module, "weight"), constant(module, "bias")
        if weight is None or bias is None or weight.dim() != 2:
            return False
        return getattr(module, "nf", None) == weight.shape[1] == bias.numel()

    def run(self, module: Any, inputs: Tensor) -> tuple[Tensor, Tensor]:
        flat = inputs.reshape(-1, inputs.shape[-1])
        output = torch.addmm(needed(module, "bias"), flat, needed(module, "weight"))
        return output.view(*inputs.shape[:-1], module.nf), inputs

    def terms(self, module: Any, saved: Tensor, slope: Tensor, candidates: int) -> Terms:
        slope = by_candidate(slope, candidates)
        yield "weight", Product(Dense(by_candidate(saved, candidates)), slope)
        yield "bias", Formed(slope.sum(1))
