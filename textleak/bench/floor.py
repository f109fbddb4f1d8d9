"""The least time that a model's layers leave for an evaluation, from rates measured here and now."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Rates:
    """What the device was measured to do.

    Attributes:
        flops: floating-point operations a second of a large square product.
        bytes: bytes a second of reading a large tensor.
    """

    flops: float
    bytes: float


def measure_rates(device: torch.device, dtype: torch.dtype, rounds: int = 5) -> Rates:
    """Measure both rates with torch's present number of threads; the best of a few rounds."""
    side = 1024
    square = torch.randn(side, side, device=device).to(dtype)
    large = torch.randn(1 << 25, device=device).to(dtype)
    product = min(_seconds(lambda: square @ square, device) for _ in range(rounds))
    read = min(_seconds(large.sum, device) for _ in range(rounds))
    return Rates(2 * side**3 / product, large.numel() * large.element_size() / read)


def floor_seconds(
    module: nn.Module, forward: Callable[[], Tensor], rates: Rates, thin: bool
) -> float:
    """Layer-sized products and weight traffic of one evaluation, layer by layer the larger of both.

    A linear layer takes four products of its own size (forward, backward to its input, and their
    two adjoints), and each reads the weight. A dense shared gradient adds its product and that
    product's adjoint, and two reads; a thin one adds nothing of the layer's size. A convolution's
    kernel is small and its gradient formed: one more product, and two for its adjoints.

    Args:
        module: the model.
        forward: runs it once on what is evaluated.
        rates: the device's rates.
        thin: whether the shared gradient has a thin form.
    """
    total = 0.0

    def count(layer: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        nonlocal total
        weight = layer.weight
        assert isinstance(weight, Tensor)
        if isinstance(layer, nn.Conv2d):
            products, rows = 7, len(output) * output[0, 0].numel()
        else:
            products, rows = (4 if thin else 6), inputs[0].numel() // inputs[0].shape[-1]
        compute = products * 2 * rows * weight.numel() / rates.flops
        traffic = products * weight.numel() * weight.element_size() / rates.bytes
        total += max(compute, traffic)

    handles = [
        part.register_forward_hook(count)
        for part in module.modules()
        if isinstance(part, nn.Linear | nn.Conv2d) or type(part).__name__ == "Conv1D"
    ]
    try:
        with torch.no_grad():
            forward()
    finally:
        for handle in handles:
            handle.remove()
    return total


def _seconds(run: Callable[[], Tensor], device: torch.device) -> float:
    began = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began
