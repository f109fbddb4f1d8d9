"""Which operations of a forward pass are not twice differentiable, whoever calls them.

A layer's class tells less than what it runs: `F.relu` in a `forward` has no layer at all. So the pass
is watched, operation by operation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

# torch's names of what has a corner: its slope jumps, and gradient matching needs the slope's slope.
KINKED = {
    "relu": "ReLU",
    "relu_": "ReLU",
    "leaky_relu": "LeakyReLU",
    "leaky_relu_": "LeakyReLU",
    "rrelu_with_noise": "RReLU",
    "_prelu_kernel": "PReLU",
    "threshold": "Threshold",
    "threshold_": "Threshold",
    "hardtanh": "Hardtanh",
    "hardtanh_": "Hardtanh",
    "hardswish": "Hardswish",
    "hardswish_": "Hardswish",
    "hardsigmoid": "Hardsigmoid",
    "hardsigmoid_": "Hardsigmoid",
    "softshrink": "Softshrink",
    "hardshrink": "Hardshrink",
}
_CLAMPS = ("clamp", "clamp_", "clamp_min", "clamp_min_")


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Writes down every kinked operation, and the module that it ran in."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.inside: list[str] = []
        self.found: list[tuple[str, str]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        name = str(func.overloadpacket.__name__)
        cut_at_zero = name in _CLAMPS and args[1:2] == (0,)  # a ReLU under another name
        if name in KINKED or cut_at_zero:
            self.found.append((KINKED.get(name, "ReLU"), self.inside[-1] if self.inside else ""))
        return func(*args, **(kwargs or {}))


def kinks(module: nn.Module, forward: Callable[[], object]) -> list[str]:
    """The kinked operations of `forward`, a call of `module`, each with its place.

    >>> layers = nn.Sequential(nn.Linear(1, 1), nn.ReLU())
    >>> kinks(layers, lambda: layers(torch.zeros(1, 1)))
    ["ReLU in '1'"]
    """
    watch = _Watch()
    with torch.no_grad(), _named(module, watch.inside), watch:
        forward()
    return [f"{kind} in {place!r}" if place else kind for kind, place in watch.found]


@contextmanager
def _named(module: nn.Module, inside: list[str]) -> Iterator[None]:
    """Keep in `inside` the names of the modules whose call is under way, the innermost last."""
    handles = []
    for name, child in module.named_modules():
        handles.append(child.register_forward_pre_hook(lambda *_, name=name: inside.append(name)))
        handles.append(child.register_forward_hook(lambda *_: _left(inside)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _left(inside: list[str]) -> None:
    inside.pop()
