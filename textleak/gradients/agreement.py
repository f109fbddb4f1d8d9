"""How well two sets of gradients agree, up to one real factor: the cheap test inside attacks.

A client may sum its loss where another takes the mean, scale it against underflow, clip the gradient
or share a weight delta: the same numbers but for one factor, its sign included. That factor says
nothing of the batch, so it is fitted, and what is left is judged.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

import torch
from torch import Tensor


@dataclass(frozen=True)
class Tolerance:
    """What counts as agreement while an attack is under way; a verdict looks closer.

    Attributes:
        total: the relative error over all tensors that is still agreement.
        worst: the same of the worst tensor: one wrong word hides in the sum where the large tensors
            do not see it, and changes some small one by more than its own size.
        negligible: a tensor below the root of the shared numbers' rounding, at most this fraction, of
            the median is rounding (the attention key bias), as in `Distance`.
        same: factors this many roundings from one are one.
        table: rows of a tensor from which on it pays to look for those that are zero.
    """

    total: float = 1e-3
    worst: float = 0.1
    negligible: float = 1e-2
    same: float = 8.0
    table: int = 4096


TOLERANCE = Tolerance()


class Agreement(NamedTuple):
    """Relative errors of recomputed gradients against the shared ones, after the fit of a factor.

    Attributes:
        error: ||G - c g|| / ||G|| over all shared tensors.
        worst: the largest ||G - c g|| / ||G|| of a single tensor, those that are only rounding left
            out.
        rounding: what rounding alone may make of it, by the type of the shared tensors.
        scale: c, the factor by which the recomputed gradients match best; 1 as far as rounding
            can tell, else as fitted. 0 where nothing is to be fitted.
    """

    error: float
    worst: float
    rounding: float
    scale: float = 1.0

    @property
    def near(self) -> bool:
        """Whether both are near the level of rounding: worth a verdict, and the end of a search."""
        small = self.error < max(TOLERANCE.total, self.rounding)
        return small and self.worst < TOLERANCE.worst


def agreement(gradients: Mapping[str, Tensor], shared: Mapping[str, Tensor]) -> Agreement:
    """Compare recomputed gradients with the shared ones.

    What was shared in half precision is compared in half precision: the recomputed gradients are
    rounded as the client's were, also where the numbers have been widened since.

    Raises:
        KeyError: a shared tensor is missing from `gradients`.

    >>> agreement({"w": torch.tensor([3.0, 4.0])}, {"w": torch.tensor([-6.0, -8.0])})
    Agreement(error=0.0, worst=0.0, rounding=1.1920928955078125e-07, scale=-2.0)
    """
    numbers = {name: target.numel() for name, target in shared.items()}
    gradients, shared = trimmed(gradients, shared)
    scale = fitted_scale(gradients, shared)
    wrong, sizes = residual_norms(gradients, shared, scale)
    means = {name: size / math.sqrt(max(numbers[name], 1)) for name, size in sizes.items()}
    present = [mean for mean in means.values() if mean > 0]
    silence = min(wire_rounding(shared) ** 0.5, TOLERANCE.negligible)
    least = silence * median(present) if present else 0.0
    worst = max(
        (wrong[name] / size for name, size in sizes.items() if means[name] > least), default=0.0
    )
    total = math.hypot(*sizes.values())
    error = math.hypot(*wrong.values())
    if total > 0:
        error /= total
    elif error > 0:
        error = math.inf
    return Agreement(error, worst, wire_rounding(shared), scale)


def trimmed(
    gradients: Mapping[str, Tensor], shared: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Both without the rows of large tables that are zero in both: most words are in no batch."""
    own, theirs = dict(gradients), dict(shared)
    for name, target in shared.items():
        if target.dim() != 2 or len(target) < TOLERANCE.table or not target.numel():
            continue
        mine = gradients[name].to(target.device)
        rows = (target.any(1) | mine.any(1)).nonzero().flatten()
        if 0 < len(rows) < len(target) // 2:
            own[name], theirs[name] = mine[rows], target[rows]
    return own, theirs


def fitted_scale(gradients: Mapping[str, Tensor], shared: Mapping[str, Tensor]) -> float:
    """The factor c of least ||G - c g||; exactly 1 where it is so near that rounding may be why."""
    own = math.fsum(_dot(gradients[name], gradients[name]) for name in shared)
    if own == 0 or not math.isfinite(own):
        return 0.0 if own == 0 else 1.0
    precision = wire_precision(shared)
    rounding = wire_rounding(shared) if precision is None else torch.finfo(precision).eps
    near = TOLERANCE.same * rounding
    scale = 1.0
    for _ in range(3):  # each pass sums what the last one left, so single precision will do
        left = (
            _dot(gradients[name], _less(target, gradients[name], scale))
            for name, target in shared.items()
        )
        step = math.fsum(left) / own
        if scale == 1 and abs(step) <= near:
            return 1.0
        scale += step
        if abs(step) <= near * abs(scale):
            break
    if not math.isfinite(scale):
        return 1.0
    return 1.0 if abs(scale - 1) <= near else scale


def residual_norms(
    gradients: Mapping[str, Tensor], shared: Mapping[str, Tensor], scale: float
) -> tuple[dict[str, float], dict[str, float]]:
    """||G - c g|| and ||G|| by tensor, c g rounded as the shared numbers are."""
    precision = wire_precision(shared)
    wrong, sizes = {}, {}
    for name, target in shared.items():
        own = gradients[name].to(target.device)
        if precision is not None:
            own = (own if scale == 1 else scale * own).to(precision)
            difference = target - own.to(target.dtype)
        else:
            difference = _less(target, own, scale)
        wrong[name] = norm(difference)
        sizes[name] = norm(target)
    return wrong, sizes


def wire_precision(shared: Mapping[str, Tensor]) -> torch.dtype | None:
    """The half-precision type that holds every shared number exactly, if there is one."""
    ordered = sorted(shared.values(), key=Tensor.numel)  # a small tensor mostly says no at once
    for dtype in (torch.bfloat16, torch.float16):
        if any(tensor.dtype == dtype for tensor in ordered):
            return dtype
        if ordered and all(
            bool((tensor.to(dtype).to(tensor.dtype) == tensor).all()) for tensor in ordered
        ):
            return dtype
    return None


def wire_rounding(shared: Mapping[str, Tensor]) -> float:
    """The relative rounding of the numbers as they were shared."""
    return max((torch.finfo(target.dtype).eps for target in shared.values()), default=0.0)


def _less(target: Tensor, own: Tensor, scale: float) -> Tensor:
    own = own.to(target.device)
    if own.dtype != target.dtype:
        own, target = own.double(), target.double()
    if scale == 0:
        return target
    return target - own if scale == 1 else torch.sub(target, own, alpha=scale)


def _dot(first: Tensor, second: Tensor) -> float:
    first, second = first.flatten(), second.flatten().to(first.device)
    if first.dtype != second.dtype or first.dtype not in (torch.float32, torch.float64):
        first, second = first.double(), second.double()
    return float(torch.dot(first, second))


_SQUARES_FIT = (1e-15, 1e15)  # norms whose squares single precision holds with digits to spare


def norm(tensor: Tensor) -> float:
    """The norm of a tensor, in double precision where its squares need that."""
    if tensor.dtype == torch.float32:
        size = float(torch.linalg.vector_norm(tensor))
        if _SQUARES_FIT[0] < size < _SQUARES_FIT[1]:
            return size
    return float(torch.linalg.vector_norm(tensor, dtype=torch.float64))
