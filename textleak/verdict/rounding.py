"""How far rounding moves this very update, tensor by tensor: the unit in which updates are compared.

No constant says how far: it grows with the batch, its length and the depth of the model. So the update
is computed twice, in the model's precision and in double precision, and each tensor's difference is its
unit. What the client rounded for the wire is rounded again here; then a number differs only where
rounding before it carried it over an edge. With relative rounding r before, a share r / e of the numbers
of relative precision e does, each by e: e sqrt(r / e) = sqrt(r e) of the tensor's norm.
"""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor, nn

from textleak.gradients.agreement import norm, residual_norms, wire_precision

Gradients = Mapping[str, Tensor]


@dataclass(frozen=True)
class Rounding:
    """The units of an update's tensors.

    Attributes:
        units: by tensor, in the shared update's scale; 0 where a tensor is zero in either precision.
        sizes: the recomputed tensors' norms in that scale.
        scale: the factor of the shared update.
    """

    units: dict[str, float]
    sizes: dict[str, float]
    scale: float

    def distance(self, wrong: Mapping[str, float]) -> float:
        """The largest of the tensors' residual norms, in units."""
        return max((self.of(name, size) for name, size in wrong.items()), default=0.0)

    def of(self, name: str, size: float) -> float:
        """A residual norm of one tensor in units."""
        if size == 0:
            return 0.0
        return size / self.units[name] if self.units[name] > 0 else math.inf

    @property
    def relative(self) -> float:
        """The median tensor's unit, relative to its norm."""
        shares = [self.units[n] / size for n, size in self.sizes.items() if size > 0]
        return median(shares) if shares else 0.0


def shares(single: Gradients, double: Gradients) -> dict[str, float]:
    """By tensor of `double`, how far `single` is from it, relative to its norm; no zero tensors."""
    sizes = {name: norm(single[name]) for name in double}
    return {
        name: norm(single[name] - exact.to(single[name])) / sizes[name]
        for name, exact in double.items()
        if sizes[name] > 0
    }


def rounding(
    own: Gradients,
    shared: Gradients,
    relative: Mapping[str, float],
    scale: float,
    noise: Mapping[str, float] | None = None,
) -> Rounding:
    """The units of `shared`.

    Args:
        own: the recovered batch's update in the model's precision.
        shared: the client's.
        relative: rounding by tensor from `shares`; one that is missing has the usual.
        scale: the factor of `shared` on `own`.
        noise: what is known to be added to each tensor, as a norm.
    """
    # The tensors' rounding comes from the same activations: by luck alone is one far below the usual.
    usual = max(median(relative.values()), torch.finfo(torch.float32).eps) if relative else 0.0
    wire = wire_precision(shared)
    if wire is not None and (scale != 1 or wire_precision(own) != wire):
        usual = math.sqrt(usual * torch.finfo(wire).eps)
    sizes = {name: norm(own[name]) for name in shared}
    units = {
        name: math.hypot(
            abs(scale) * max(relative.get(name, 0.0), usual) * size, (noise or {}).get(name, 0.0)
        )
        for name, size in sizes.items()
    }
    return Rounding(units, {name: abs(scale) * size for name, size in sizes.items()}, scale)


def distance(own: Gradients, shared: Gradients, units: Rounding) -> float:
    """How far `own` is from `shared`, in units of rounding."""
    return units.distance(residual_norms(own, shared, units.scale)[0])


class _Widened(nn.Module):
    """An embedding whose output alone is in double precision: most of its rows are not looked at."""

    def __init__(self, embedding: nn.Embedding) -> None:
        super().__init__()
        self.weight = embedding.weight  # by its own name
        self._look_up = [embedding]  # in a list: not a module of this one

    def forward(self, ids: Tensor) -> Tensor:
        """The rows of `ids`; (..., H)."""
        rows: Tensor = self._look_up[0](ids)
        return rows.double()


def in_double(module: nn.Module, large: int) -> nn.Module:
    """A copy of a model in double precision, which shares tables above `large` numbers."""
    tables = {
        id(one): _Widened(one)
        for one in module.modules()
        if isinstance(one, nn.Embedding) and one.weight.numel() > large
    }
    kept = {id(table.weight): table.weight for table in tables.values()}
    users = Counter(
        id(p) for one in module.modules() for p in one.parameters(recurse=False) if id(p) in kept
    )
    if any(count > 1 for count in users.values()):  # a tied head multiplies by the table
        tables, kept = {}, {}
    tensors = [*module.parameters(), *(b for b in module.buffers() if b.is_floating_point())]
    tensors = [one for one in tensors if id(one) not in kept]
    made = {
        id(one): nn.Parameter(one.detach().double(), requires_grad=one.requires_grad)
        if isinstance(one, nn.Parameter)
        else one.double()
        for one in tensors
    }
    twin: nn.Module = copy.deepcopy(module, {**made, **tables})  # what `made` holds is not copied
    return twin
