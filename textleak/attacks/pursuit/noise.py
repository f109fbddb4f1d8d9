"""How much noise lies on the rows: what the protocol says, what their own number type shows, or a guess."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from textleak.core.noise import NoiseLaw


def row_noise(rows: Tensor, law: NoiseLaw | None) -> Tensor:
    """The variance of the noise on the entries of each row (m, d); (m,).

    Rows whose entries all fit a half precision were rounded to it: an entry of p bits is uniform between
    its neighbours, 2^(e - p) apart, and has a twelfth of the square of that as variance.
    """
    variance = torch.zeros(len(rows)).double()
    if law is not None:
        variance += law.std**2
    for kind, least in ((torch.bfloat16, 0.0), (torch.float16, 2.0**-24)):
        if torch.equal(rows.to(kind).to(rows), rows):
            bits = 1 - round(math.log2(torch.finfo(kind).eps))
            _, exponents = torch.frexp(rows.double())
            steps = torch.exp2((exponents - bits).double()).clamp_min(least)
            return variance + (steps.square() * (rows != 0)).mean(1) / 12
    return variance


def weighed(rows: Tensor, variance: Tensor, weakest: float) -> tuple[Tensor, float]:
    """Rows whose noise has variance 1, and that as a share of what atoms give a whole row.

    Args:
        rows: (m, d).
        variance: of the noise on the entries of each, (m,).
        weakest: atoms are taken to give no less than this share of what noise does.
    """
    rows = rows.double() / variance.clamp_min(1e-300).sqrt()[:, None]
    sizes = torch.linalg.svdvals(rows).square()
    width = rows.shape[1]
    return rows, 1 / max(float(sizes.median()) - width, weakest * width)


def guessed_noise(rows: Tensor, moment: Tensor, share: float = 0.1) -> float:
    """At most so much variance, from where atoms hold least: the last directions of their moment.

    Args:
        rows: sums of atoms under noise, (m, d).
        moment: the second moment of the atoms, (d, d).
        share: of the directions that are looked at.
    """
    _, vectors = torch.linalg.eigh(moment)
    least = vectors[:, : max(1, int(share * len(vectors)))]
    return float((rows.double() @ least).square().mean())
