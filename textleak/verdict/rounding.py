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


def rounding(own: Gradients, double: Gradients, shared: Gradients, scale: float) -> Rounding:
    """The units of `shared`.

    Args:
        own: the recovered batch's update in the model's precision.
        double: the same in double precision; a tensor that is missing has the usual rounding.
        shared: the client's.
        scale: the factor of `shared` on `own`.
    """
    single = torch.finfo(torch.float32).eps
    differences, sizes = {}, {}
    for name in shared:
        sizes[name] = norm(own[name])
        differences[name] = 0.0
        if name in double:
            differences[name] = norm(own[name] - double[name].to(own[name]))
    shares = [differences[n] / sizes[n] for n in double if sizes[n] > 0]
    # The tensors' rounding comes from the same activations: by luck alone is one far below the usual.
    usual = max(median(shares), single) if shares else 0.0
    wire = wire_precision(shared)
    if wire is not None and (scale != 1 or wire_precision(own) != wire):
        usual = math.sqrt(usual * torch.finfo(wire).eps)
    units = {name: abs(scale) * max(differences[name], usual * sizes[name]) for name in shared}
    return Rounding(units, {name: abs(scale) * size for name, size in sizes.items()}, scale)


def distance(own: Gradients, shared: Gradients, units: Rounding) -> float:
    """How far `own` is from `shared`, in units of rounding."""
    return units.distance(residual_norms(own, shared, units.scale)[0])


def in_double(module: nn.Module) -> nn.Module:
    """A copy of a model in double precision."""
    tensors = [*module.parameters(), *(b for b in module.buffers() if b.is_floating_point())]
    made = {
        id(one): nn.Parameter(one.detach().double(), requires_grad=one.requires_grad)
        if isinstance(one, nn.Parameter)
        else one.double()
        for one in tensors
    }
    twin: nn.Module = copy.deepcopy(module, made)  # what `made` holds is not copied first
    return twin
