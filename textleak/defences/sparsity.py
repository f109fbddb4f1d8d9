"""Only the largest entries of gradients kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

Scope = Literal["tensor", "all"]


def keep_largest(
    gradients: dict[str, Tensor], kept: Callable[[int], int], scope: Scope
) -> dict[str, Tensor]:
    """The gradients with all but their largest entries set to zero.

    Args:
        gradients: by name.
        kept: how many of so many entries are kept.
        scope: the largest of each tensor, or of all tensors together.
    """
    if scope == "tensor":
        return {name: _sparse(gradient, kept) for name, gradient in gradients.items()}
    everything = torch.cat([gradient.flatten() for gradient in gradients.values()])
    parts = torch.split(_sparse(everything, kept), [g.numel() for g in gradients.values()])
    return {
        name: part.reshape(gradients[name].shape)
        for name, part in zip(gradients, parts, strict=True)
    }


def _sparse(gradient: Tensor, kept: Callable[[int], int]) -> Tensor:
    flat = gradient.flatten()
    count = kept(len(flat))
    if 2 * count <= len(flat):  # the smaller side is the quicker to find
        largest = flat.abs().topk(count).indices
        sparse = torch.zeros_like(flat).index_copy(0, largest, flat[largest])
    else:
        smallest = flat.abs().topk(len(flat) - count, largest=False).indices
        sparse = flat.index_fill(0, smallest, 0.0)
    return sparse.reshape(gradient.shape)
