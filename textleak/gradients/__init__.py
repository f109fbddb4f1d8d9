"""Local stand-in until the matching engine lands: plain autograd."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn


def parameter_gradients(
    module: nn.Module, loss: Callable[[], Tensor], names: Sequence[str]
) -> dict[str, Tensor]:
    """Gradients of `loss()` by parameter name."""
    parameters = dict(module.named_parameters())
    chosen = [parameters[name] for name in names]
    for parameter in chosen:
        parameter.requires_grad_(True)
    grads = torch.autograd.grad(loss(), chosen, allow_unused=True)
    return {
        name: torch.zeros_like(p) if g is None else g.detach()
        for name, p, g in zip(names, chosen, grads, strict=True)
    }


def relative_error(gradients: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> float:
    """L2 distance over all tensors, relative to the target's norm."""
    above = sum(float((gradients[n] - t).double().square().sum()) for n, t in target.items())
    below = sum(float(t.double().square().sum()) for t in target.values())
    return (above / max(below, 1e-300)) ** 0.5
