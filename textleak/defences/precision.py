"""Fewer bits an entry (DLG, section 5.1: half precision and int8)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from textleak.defences.base import NoOptions, Step, UpdateDefence


class Float16(UpdateDefence[NoOptions]):
    """IEEE half precision: ten bits of fraction; entries above 65504 stop at it."""

    name: ClassVar[str] = "fp16"
    promises: ClassVar[str] = "Nothing: rounding hides less than an attack needs."
    costs: ClassVar[str] = "Next to nothing; it halves the traffic."

    def protect(self, gradients: dict[str, Tensor], step: Step) -> dict[str, Tensor]:
        """Round to half precision."""
        most = torch.finfo(torch.float16).max
        return {name: g.clamp(-most, most).half() for name, g in gradients.items()}


class BFloat16(UpdateDefence[NoOptions]):
    """Brain float: the range of single precision with seven bits of fraction."""

    name: ClassVar[str] = "bf16"
    promises: ClassVar[str] = "Nothing: rounding hides less than an attack needs."
    costs: ClassVar[str] = "Next to nothing; it halves the traffic."

    def protect(self, gradients: dict[str, Tensor], step: Step) -> dict[str, Tensor]:
        """Round to brain float."""
        return {name: gradient.bfloat16() for name, gradient in gradients.items()}


class Int8(UpdateDefence[NoOptions]):
    """255 evenly spaced values a tensor, from minus to plus its largest entry."""

    name: ClassVar[str] = "int8"
    promises: ClassVar[str] = "No proof; small entries vanish beside the largest of their tensor."
    costs: ClassVar[str] = (
        "Coarse steps: small gradients are lost, accuracy can fall; it quarters the traffic."
    )

    def protect(self, gradients: dict[str, Tensor], step: Step) -> dict[str, Tensor]:
        """Round to the grid; what is shared is the grid's values, as the receiver decodes them."""
        return {name: _on_grid(gradient) for name, gradient in gradients.items()}


def _on_grid(gradient: Tensor) -> Tensor:
    step = gradient.abs().max() / 127 if gradient.numel() else gradient.new_zeros(())
    return gradient if not step > 0 else (gradient / step).round() * step
