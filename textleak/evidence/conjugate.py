"""Conjugate gradients, for the decoder's Gauss-Newton steps that are too large to write down."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def conjugate_gradients(
    product: Callable[[Tensor], Tensor],
    target: Tensor,
    diagonal: Tensor,
    *,
    steps: int = 100,
    tolerance: float = 1e-4,
) -> Tensor:
    """The x with product(x) = target (Hestenes and Stiefel 1952), scaled by the diagonal.

    Args:
        product: a symmetric positive definite map on tensors of the target's shape.
        target: of any shape.
        diagonal: of the map, of that shape.
        steps: at most.
        tolerance: what may be left of the target, relative, in the diagonal's scale.
    """
    x, left = torch.zeros_like(target), target.clone()
    scaled = left / diagonal
    size = first = float((left * scaled).sum())
    direction = scaled
    for _ in range(steps):
        if size <= first * tolerance**2:
            break
        image = product(direction)
        length = size / float((direction * image).sum())
        x = x + length * direction
        left = left - length * image
        scaled = left / diagonal
        last, size = size, float((left * scaled).sum())
        direction = scaled + size / last * direction
    return x


def steps_by_products(
    p: Tensor, means: Tensor, words: Tensor, rest: Tensor, misfit: Tensor
) -> Callable[[float], Tensor]:
    """Damped Gauss-Newton steps on states r_j whose mixture sum_j p_aj r_j should be given rows.

    With p_j = softmax(E r_j), a change d of r_j changes row a by p_aj d + p_aj (e_a - mean_j) . d r_j. A
    product with this map costs k A M, where the matrix costs (k M)^2 A.

    Args:
        p: (k, A) probabilities of the A words whose rows are given, times the rows' weights.
        means: (k, M) the mean embedding under each p_j.
        words: (A, M) embeddings.
        rest: (k, M) the states.
        misfit: (A, M) what the states leave of the weighted rows.

    Returns:
        The step (k, M) for a damping.
    """

    def forth(step: Tensor) -> Tensor:  # (A, M)
        scores = step @ words.T - (means * step).sum(1, keepdim=True)
        return p.T @ step + (p * scores).T @ rest

    def back(change: Tensor) -> Tensor:  # the adjoint; (k, M)
        shares = p * (rest @ change.T)
        return p @ change + shares @ words - shares.sum(1, keepdim=True) * means

    squares = p.square()
    ones, once = squares.sum(1, keepdim=True), squares @ words  # (k, 1), (k, M)
    first = once - ones * means
    second = squares @ words.square() - 2 * means * once + ones * means.square()
    size = rest.square().sum(1, keepdim=True)
    diagonal = (ones + 2 * rest * first + size * second).clamp_min(1e-300)
    slope = back(misfit)

    def solve(damping: float) -> Tensor:
        def product(step: Tensor) -> Tensor:
            damped: Tensor = back(forth(step)) + damping * diagonal * step
            return damped

        return conjugate_gradients(product, slope, diagonal * (1 + damping))

    return solve
