"""What a probe's shared gradients show of its inputs.

With y = W x + s B A x and the slopes D of the loss by y, the gradient of A is s B^T D^T X: rows that are sums
of the inputs X. At an adapter's first step B is zero, and that is nothing; but the gradient of B is
s D^T X A^T: rows that are sums of A x, of as many dimensions as the adapter has ranks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from textleak.models.decoder_parts import Probe


@dataclass(frozen=True)
class Sight:
    """Rows that are sums of atoms.

    Attributes:
        probe: whose inputs the atoms are made of.
        rows: (m, d).
        through: what inputs go through to become atoms, (d, width); None where they are atoms.
    """

    probe: Probe
    rows: Tensor
    through: Tensor | None = None

    def atoms(self, inputs: Tensor) -> Tensor:
        """Inputs (..., width) as atoms (..., d)."""
        return inputs.cpu() if self.through is None else inputs.cpu() @ self.through.T


def sights_of(module: nn.Module, probe: Probe, shared: Mapping[str, Tensor]) -> list[Sight]:
    """What `probe` shares: one sight of its inputs, or one for each second half of an adapter."""
    rows = _nonzero(probe.gradients(shared))
    if len(rows):
        return [Sight(probe, rows)]
    found = []
    for second in probe.inner:
        layer, gradient = second.name.rsplit(".", 2)[0], second.rows(shared)
        first = [p.name for p in probe.projections if p.name.rsplit(".", 2)[0] == layer]
        rows = _nonzero([] if gradient is None else [gradient])
        if first and len(rows):
            weight = module.get_parameter(f"{first[0]}.weight").detach().float().cpu()
            found.append(Sight(probe, rows, weight))
    return found


def _nonzero(gradients: Sequence[Tensor]) -> Tensor:
    rows = torch.cat(list(gradients)) if gradients else torch.zeros(0, 1)
    return rows[rows.any(1)].cpu().float()
