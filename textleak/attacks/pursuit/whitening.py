"""A dictionary made incoherent.

Rows are sums of atoms, Y = C X. Any invertible M leaves that true: Y M = C (X M). With M the inverse root
of the atoms' second moment the atoms of a language model, nearly parallel before, point in all directions.
"""

from __future__ import annotations

import torch
from torch import Tensor


def whitening(atoms: Tensor, least: float, noise: float = 0.0) -> Tensor:
    """M = (X^T X / n + ridge)^(-1/2), (d, d) in double precision.

    Args:
        atoms: a sample of the dictionary, (n, d).
        least: of the ridge, as a share of the largest eigenvalue.
        noise: the variance of noise on an entry of a row, as a share of what atoms give the whole row:
            it stands beside them in every direction.
    """
    sample = atoms.double()
    values, vectors = torch.linalg.eigh(sample.T @ sample / max(len(sample), 1))
    values = values.clamp_min(0)
    ridge = least * values[-1].clamp_min(torch.finfo(torch.double).tiny) + noise * values.sum()
    root: Tensor = (vectors / (values + ridge).sqrt()) @ vectors.T
    return root
