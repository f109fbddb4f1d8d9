"""Swap a model's activation functions for ones that are twice differentiable.

Gradient matching differentiates the gradient, so a ReLU-like kink stops it (DLG, section 3.1).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from torch import nn
from transformers.activations import ACT2CLS

from textleak.core.errors import ConfigError, unknown

KEEP = "keep"
SMOOTH: dict[str, Callable[[], nn.Module]] = {
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "softplus": nn.Softplus,
    "silu": nn.SiLU,
    "mish": nn.Mish,
    "gelu": nn.GELU,
    "gelu-tanh": lambda: nn.GELU(approximate="tanh"),
}
ACTIVATIONS = (KEEP, *SMOOTH)

_POOLER = nn.Tanh  # a pooler's tanh is part of the head, smooth, and stays
_CLASSES: tuple[type, ...] = (
    *({cast(type, e[0] if isinstance(e, tuple) else e) for e in ACT2CLS.values()} - {_POOLER}),
    *(nn.GELU, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SiLU, nn.Softplus, nn.Mish),
    *(nn.RReLU, nn.PReLU, nn.Threshold, nn.Hardtanh, nn.Hardswish, nn.Hardsigmoid),
    *(nn.Softshrink, nn.Hardshrink),
)


def check_activation(name: str) -> str:
    """Return `name`; raise ConfigError with the nearest valid name if it is unknown."""
    if name not in ACTIVATIONS:
        raise ConfigError(unknown("activation", name, ACTIVATIONS))
    return name


def swap_activations(module: nn.Module, name: str) -> int:
    """Replace every activation module inside `module` in place by the smooth one called `name`.

    Returns:
        How many were replaced: 0 for `"keep"`.
    """
    if check_activation(name) == KEEP:
        return 0
    swapped = 0
    for parent in list(module.modules()):
        for child_name, child in list(parent.named_children()):
            if isinstance(child, _CLASSES):
                setattr(parent, child_name, SMOOTH[name]())
                swapped += 1
    return swapped
