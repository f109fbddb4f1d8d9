"""Normalisations by channel (axis 1): a scale and a shift each, whose gradients are formed."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from textleak.gradients.layers.rule import Formed, Terms, has, needed, runs_as
from textleak.gradients.matcher import accumulation


class GroupNormRule:
    """`nn.GroupNorm`: the channels are axis 1."""

    def fits(self, module: Any) -> bool:
        return runs_as(module, nn.GroupNorm) and has(module, "weight")

    def run(self, module: Any, inputs: Tensor) -> tuple[Tensor, Tensor]:
        standard = F.group_norm(inputs, module.num_groups, eps=module.eps)
        scale, shift = needed(module, "weight"), needed(module, "bias")
        return torch.addcmul(along(shift, inputs), standard, along(scale, inputs)), standard

    def terms(self, module: Any, saved: Tensor, slope: Tensor, candidates: int) -> Terms:
        slope = slope.to(accumulation(slope))
        yield "weight", Formed(channel_sums(slope * saved.to(slope), candidates))
        yield "bias", Formed(channel_sums(slope, candidates))


class BatchNormRule:
    """`nn.BatchNorm1d/2d/3d` with fixed statistics: one scale and one shift a channel."""

    def fits(self, module: Any) -> bool:
        kinds = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
        fixed = not module.training and getattr(module, "running_mean", None) is not None
        return fixed and has(module, "weight") and any(runs_as(module, kind) for kind in kinds)

    def run(self, module: Any, inputs: Tensor) -> tuple[Tensor, Tensor]:
        scale = needed(module, "weight") * _inverse_deviation(module)
        shift = needed(module, "bias") - module.running_mean * scale
        return torch.addcmul(along(shift, inputs), inputs, along(scale, inputs)), inputs

    def terms(self, module: Any, saved: Tensor, slope: Tensor, candidates: int) -> Terms:
        slope = slope.to(accumulation(slope))
        centred = saved.to(slope) - along(module.running_mean, saved)
        sums = channel_sums(slope * centred, candidates)
        yield "weight", Formed(sums * _inverse_deviation(module))
        yield "bias", Formed(channel_sums(slope, candidates))


def along(channels: Tensor, inputs: Tensor) -> Tensor:
    """A number a channel, (C,), shaped to go with inputs (N, C, ...)."""
    return channels.view(-1, *[1] * (inputs.dim() - 2))


def channel_sums(values: Tensor, candidates: int) -> Tensor:
    """Sums of (R*B, C, ...) over all but candidate and channel, (R, C)."""
    return values.reshape(candidates, -1, values.shape[1], values[0, 0].numel()).sum((1, 3))


def _inverse_deviation(module: Any) -> Tensor:
    return torch.rsqrt(module.running_var + module.eps)
