"""What a layer is given while a model runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn


@contextmanager
def inputs_of(layer: nn.Module) -> Iterator[list[Tensor]]:
    """Collect the first input of every call of `layer` inside; the layer is left as it was.

    >>> import torch
    >>> layer = nn.Linear(1, 1)
    >>> with inputs_of(layer) as seen:
    ...     _ = layer(torch.ones(1))
    >>> seen
    [tensor([1.])]
    """
    seen: list[Tensor] = []
    handle = layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        yield seen
    finally:
        handle.remove()
