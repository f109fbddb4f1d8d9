"""The shared gradient as a thin product, exact to rounding."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from textleak.core.randomness import stream

START = 32
ROUNDING = 16


class LowRank(NamedTuple):
    """A matrix `left @ rightᵀ`: left (rows, k), right (columns, k)."""

    left: Tensor
    right: Tensor


def compress(matrix: Tensor) -> LowRank | None:
    """Write `matrix` as a thin product, or return None where that does not pay or is not exact.

    The randomised range finder of Halko, Martinsson and Tropp (2011), section 4.2, its rank doubled
    until what is left out is no larger than rounding of the matrix itself.

    Args:
        matrix: shape (rows, columns).

    Returns:
        The factors, or None: the rank is so high (noise, pruning, a large batch) that the product
        with the matrix itself is cheaper.
    """
    rows, columns = matrix.shape
    most = rows * columns // (rows + columns)  # above it the product with G itself is cheaper
    exact = matrix.double()  # in float32 a tall QR alone would lose two digits
    bound = ROUNDING * torch.finfo(matrix.dtype).eps * exact.norm()
    draw = stream(0, "engine", "range finder")
    rank = START
    while rank <= most:
        probe = draw.normal(columns, rank).double()
        basis, _ = torch.linalg.qr(exact @ probe.to(matrix.device))  # (rows, k)
        right = exact.mT @ basis  # (columns, k)
        if torch.addmm(exact, basis, right.mT, beta=-1).norm() <= bound:
            return LowRank(basis.to(matrix), right.to(matrix))
        rank *= 2
    return None
