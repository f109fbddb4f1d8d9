"""Row spaces of weight gradients: a layer's inputs span its weight gradient's rows.

The gradient of a linear layer is G = sum_n d_n x_n^T over tokens n, so every input x_n lies in the row
space of G as long as the tokens stay fewer than the width (DAGER, Petrov et al. 2024, section 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Span:
    """The row space of a gradient.

    Attributes:
        basis: (r, H) orthonormal rows, float64, strongest first.
        complement: (m, H) orthogonal rows of what no input can contain. Of a noisy gradient these are
            all directions, each weighted by how much of it is noise, 0 to 1.
        noisy: the spectrum ends in noise above the rounding of single precision.
    """

    basis: Tensor
    complement: Tensor
    noisy: bool = False

    @property
    def rank(self) -> int:
        """How many independent inputs there were."""
        return len(self.basis)

    def residual(self, states: Tensor) -> Tensor:
        """How much of each state (..., H) lies outside, 0 to 1; (...)."""
        outside = states.double() @ self.complement.T
        share: Tensor = outside.norm(dim=-1) / states.double().norm(dim=-1).clamp_min(1e-300)
        return share


def row_span(gradients: Sequence[Tensor], rank: int | None = None) -> Span:
    """The row space that weight gradients of layers with the same input share.

    Rows are brought to one norm first, so that no projection drowns another; the rank is where the
    spectrum falls off most steeply.

    Args:
        gradients: each (out, H).
        rank: the rank when it is known.
    """
    rows = torch.cat([g.double() for g in gradients])
    norms = rows.norm(dim=1, keepdim=True)
    rows = rows[norms.flatten() > 0] / norms[norms.flatten() > 0]
    if len(rows) == 0:
        width = gradients[0].shape[1]
        return Span(torch.zeros(0, width).double(), torch.eye(width).double())
    values, right = _spectrum(rows)
    kept = spectral_rank(values) if rank is None else rank
    if _ends_in_noise(values, kept):
        return _noisy_span(gradients)
    return Span(right[:kept], right[kept:])


def _spectrum(rows: Tensor) -> tuple[Tensor, Tensor]:
    # The H x H Gram matrix would square the condition number: a reduced QR keeps it.
    triangle = torch.linalg.qr(rows, mode="r").R
    _, values, right = torch.linalg.svd(triangle, full_matrices=True)
    return values, right


def _ends_in_noise(values: Tensor, kept: int) -> bool:
    """Whether the spectrum falls to more than rounding behind `kept`, or in no step to a flat end."""
    if kept <= _END * len(values):
        return float(values[kept]) > _ROUNDING * float(values[0])
    # A matrix of noise has a few tiny values at its very end, and is flat up to there.
    middle, late = float(values[len(values) // 2]), float(values[int(_END * len(values))])
    step = _last_step(values)
    flat = middle < _FLAT * late or (step is not None and float(values[step]) < _BULK * middle)
    return flat and middle > _ROUNDING * float(values[0])


def _noisy_span(gradients: Sequence[Tensor]) -> Span:
    """The span of a gradient under noise, which has no edge: weak directions count less.

    An input is x = G^T u for some u, so along the right singular vector k it measures s_k u_k, and noise
    of spectral norm e adds up to e |u|. Each direction is weighted by e / sqrt(s_k^2 + e^2), so that a
    true input leaves about e |u| in all of them alike.
    """
    values, right = _spectrum(torch.cat([g.double() for g in gradients]))
    edge = noise_edge(values)
    weights = edge / (values.square() + edge**2).sqrt().clamp_min(1e-300)
    counted = weights > _FAINT
    return Span(right[values > edge], (weights[:, None] * right)[counted], noisy=True)


def noise_edge(values: Tensor) -> float:
    """The largest singular value that noise alone makes, from the falling spectrum (H,) of the sum.

    Noise has no steep step but at its very end, so the last one before that is where the signal
    stops. Where there is none: of a square matrix of independent noise half of the singular values
    lie below 0.4 of the largest (quarter-circle law); a signal of rank well below H only shifts which
    ones these are.
    """
    step = _last_step(values)
    return 2.2 * float(values[len(values) // 2]) if step is None else float(values[step])


def _last_step(values: Tensor) -> int | None:
    """The index behind the last steep step of a falling spectrum, its very end left out."""
    logs = values[: int(_END * len(values))].clamp_min(float(values[0]) * 1e-16).log()
    steps = (logs[:-1] - logs[1:] > _STEEP).nonzero().flatten()
    return int(steps[-1]) + 1 if len(steps) else None


def spectral_rank(values: Tensor) -> int:
    """Where a falling spectrum drops most steeply: the number of values before the drop.

    Args:
        values: (n,) singular values, falling.

    >>> spectral_rank(torch.tensor([3.0, 2.0, 1.0, 1e-8, 9e-9]))
    3
    """
    if len(values) == 0 or values[0] <= 0:
        return 0
    floor = float(values[0]) * torch.finfo(torch.float64).eps * len(values)
    logs = values.double().clamp_min(floor).log()
    # A spectrum without any drop is one of full rank: the floor stands behind the last value.
    drops = logs - torch.cat([logs[1:], logs[-1:]])
    at = int(drops.argmax())
    return at + 1 if float(drops[at]) > _STEEP else len(values)


_STEEP = torch.tensor(10.0).log().item()  # a smaller step than a decade is no edge of a spectrum
_ROUNDING = 2e-6  # the floor of a single-precision gradient's spectrum lies well below
_END = 0.9  # a step this far down the spectrum may be the end of noise itself
_FLAT = 10.0  # from the middle to there: 5 in noise, 17 and more in signals that fill the width
_BULK = (
    20.0  # from its largest value to the middle: 2 in noise, 10 in rounding, hundreds in a signal
)
_FAINT = 0.02  # a direction of less weight is all signal
