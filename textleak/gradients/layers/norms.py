"""Normalisations: a scale and a shift, whose gradients are small and formed."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from textleak.gradients.layers.rule import Formed, Terms, constant, has, needed, runs_as
from textleak.gradients.matcher import accumulation


class LayerNormRule:
    """`nn.LayerNorm` and `nn.RMSNorm`, over one or more last axes."""

    def fits(self, module: Any) -> bool:
        known = runs_as(module, nn.LayerNorm) or runs_as(module, nn.RMSNorm)
        return known and has(module, "weight")

    def run(self, module: Any, inputs: Tensor) -> tuple[Tensor, Tensor]:
        norm = F.layer_norm if isinstance(module, nn.LayerNorm) else F.rms_norm
        standard = norm(inputs, module.normalized_shape, eps=module.eps)
        output = standard * needed(module, "weight")
        bias = constant(module, "bias")
        return (output if bias is None else output + bias), standard

    def terms(self, module: Any, saved: Tensor, slope: Tensor, candidates: int) -> Terms:
        return scale_and_shift(module, saved, slope, (candidates, -1, *module.normalized_shape))


class NamedRMSNormRule:
    """A model's own RMSNorm, known by its name and taken only if it computes what the name says."""

    def fits(self, module: Any) -> bool:
        weight = constant(module, "weight")
        named = type(module).__name__.endswith("RMSNorm") and "forward" not in module.__dict__
        if not named or weight is None or weight.dim() != 1 or len(module._parameters) != 1:
            return False
        probe = torch.linspace(-1, 2, 2 * len(weight), device=weight.device).view(2, -1)
        with torch.no_grad():
            found = module(probe.to(weight))
            output, _ = self.run(module, probe.to(weight))
        return bool(torch.equal(found, output))

    def run(self, module: Any, inputs: Tensor) -> tuple[Tensor, Tensor]:
        wide = inputs.to(torch.float32)  # as the models do, whatever the type of the weights
        scale = torch.rsqrt(wide.square().mean(-1, keepdim=True) + _epsilon(module))
        standard = (wide * scale).to(inputs.dtype)
        return needed(module, "weight") * standard, standard

    def terms(self, module: Any, saved: Tensor, slope: Tensor, candidates: int) -> Terms:
        return scale_and_shift(module, saved, slope, (candidates, -1, saved.shape[-1]))


def scale_and_shift(
    module: nn.Module, standard: Tensor, slope: Tensor, shape: tuple[int, ...]
) -> Terms:
    """Gradients of `weight` and `bias` in standard * weight + bias; `shape` is (R, n, *weight)."""
    wide = accumulation(slope)
    slope = slope.reshape(shape).to(wide)
    yield "weight", Formed((slope * standard.reshape(shape).to(wide)).sum(1))
    if has(module, "bias"):
        yield "bias", Formed(slope.sum(1))


def _epsilon(module: Any) -> float:
    return float(getattr(module, "variance_epsilon", getattr(module, "eps", 1e-6)))
