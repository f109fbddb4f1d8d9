"""Swap a model's activation functions for ones that are twice differentiable.

Gradient matching differentiates the gradient, so a ReLU-like kink stops it (DLG, section 3.1).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from torch import nn
from transformers.activations import ACT2CLS

from textleak.errors import ConfigError, unknown

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
_CLASSES: tuple[type, ...] = tuple(
    {cast(type, entry[0] if isinstance(entry, tuple) else entry) for entry in ACT2CLS.values()}
    - {_POOLER}
) + (nn.GELU, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SiLU, nn.Softplus, nn.Mish)
_KINKED: tuple[type, ...] = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.Hardswish, nn.PReLU)


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


def kinked_activations(module: nn.Module) -> list[str]:
    """The names of the submodules whose activation is not twice differentiable."""
    return [name for name, child in module.named_modules() if isinstance(child, _KINKED)]
